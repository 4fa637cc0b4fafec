#include "cli/interrupt.h"

#include <unistd.h>

#include <csignal>

namespace lathe::cli {
namespace {

volatile std::sig_atomic_t g_interrupted = 0;

void on_signal(int signal_number) {
  if (g_interrupted != 0) {
    std::signal(signal_number, SIG_DFL);
    std::raise(signal_number);
    return;
  }
  g_interrupted = 1;
  static const char kMessage[] =
      "\nstopping at the next safe point; the same command continues (again: stop at once)\n";
  const auto written = write(STDERR_FILENO, kMessage, sizeof(kMessage) - 1);
  static_cast<void>(written);
}

}  // namespace

void install_interrupt_handler() {
  struct sigaction action = {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() { return g_interrupted != 0; }

}  // namespace lathe::cli
