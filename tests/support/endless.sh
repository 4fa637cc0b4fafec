#!/bin/sh
# A program that never ends by itself: it waits for a writer of a pipe that nobody opens.
pipe=$(mktemp -u)
mkfifo "$pipe"
exec 3<>"$pipe"
rm "$pipe"
read -r _ <&3
