#include "core/config_tree.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <map>
#include <sstream>

#include "core/error.h"

namespace lathe::config_detail {
namespace {

/// Aliases can make a small file describe an enormous tree; no configuration comes near this.
constexpr size_t kMaxNodes = 200000;
/// What yaml-cpp reads back, however it has to be escaped.
constexpr size_t kMaxKeyBytes = 128;

/// Builds the tree from the parser's events, which, unlike YAML::Node, keep repeated keys and
/// quoting.
class TreeBuilder final : public YAML::EventHandler {
 public:
  explicit TreeBuilder(int override_index) : override_index_(override_index) {}

  ConfigNode take_root() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    deliver(make_node(NodeKind::Null, mark), anchor, mark);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) {
      throw YAML::ParserException(mark, "the alias stands inside the value that it names");
    }
    ConfigNode copy = found->second;
    count_nodes(copy, mark);
    deliver(std::move(copy), 0, mark);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    require_tag(mark, tag);
    ConfigNode node = make_node(NodeKind::Scalar, mark);
    node.scalar = value;
    node.quoted = tag != "?" && !tag.empty();
    deliver(std::move(node), anchor, mark);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    require_tag(mark, tag);
    frames_.push_back({make_node(NodeKind::Sequence, mark), anchor, mark, {}});
  }
  void OnSequenceEnd() override { close_frame(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    require_tag(mark, tag);
    frames_.push_back({make_node(NodeKind::Mapping, mark), anchor, mark, {}});
  }
  void OnMapEnd() override { close_frame(); }

 private:
  struct Frame {
    ConfigNode node;
    YAML::anchor_t anchor;
    YAML::Mark mark;
    std::optional<Member> pending;  ///< a key that waits for its value
  };

  ConfigNode make_node(NodeKind kind, const YAML::Mark& mark) {
    ConfigNode node;
    node.kind = kind;
    node.location = {override_index_, mark.line + 1, mark.column + 1};
    if (++nodes_ > kMaxNodes) too_large(mark);
    return node;
  }

  [[noreturn]] static void too_large(const YAML::Mark& mark) {
    throw YAML::ParserException(
        mark, "more than " + std::to_string(kMaxNodes) + " values, expected a configuration");
  }

  static void require_tag(const YAML::Mark& mark, const std::string& tag) {
    if (tag.empty() || tag == "?" || tag == "!" || tag == "tag:yaml.org,2002:str") return;
    throw YAML::ParserException(mark, "the tag " + tag + " is not supported, expected no tag");
  }

  void count_nodes(const ConfigNode& node, const YAML::Mark& mark) {
    if (++nodes_ > kMaxNodes) too_large(mark);
    for (const ConfigNode& item : node.items) count_nodes(item, mark);
    for (const Member& member : node.members) count_nodes(member.value, mark);
  }

  void close_frame() {
    Frame frame = std::move(frames_.back());
    frames_.pop_back();
    deliver(std::move(frame.node), frame.anchor, frame.mark);
  }

  void deliver(ConfigNode node, YAML::anchor_t anchor, const YAML::Mark& mark) {
    if (anchor != 0) {
      count_nodes(node, mark);
      anchors_[anchor] = node;
    }
    if (frames_.empty()) {
      root_ = std::move(node);
      return;
    }
    Frame& frame = frames_.back();
    if (frame.node.kind == NodeKind::Sequence) {
      frame.node.items.push_back(std::move(node));
    } else if (frame.pending) {
      frame.pending->value = std::move(node);
      frame.node.members.push_back(std::move(*frame.pending));
      frame.pending.reset();
    } else {
      if (node.kind != NodeKind::Scalar) {
        throw YAML::ParserException(mark, "key = " + display(node) + ", expected a plain name");
      }
      if (node.scalar.size() > kMaxKeyBytes) {
        throw YAML::ParserException(mark, "key = " + display(node) + ", expected at most " +
                                              std::to_string(kMaxKeyBytes) + " bytes");
      }
      frame.pending = Member{node.scalar, node.location, {}};
    }
  }

  int override_index_;
  size_t nodes_ = 0;
  ConfigNode root_;
  std::vector<Frame> frames_;
  std::map<YAML::anchor_t, ConfigNode> anchors_;
};

/// Throws unless `text` is UTF-8 without control characters but tabs and line breaks: yaml-cpp
/// passes other bytes through, and what is written from them would not read the same.
void require_text(const std::string& text) {
  YAML::Mark mark;
  const auto refuse = [&mark](const std::string& what) {
    throw YAML::ParserException(mark, what + ", expected UTF-8 text");
  };
  for (size_t i = 0; i < text.size(); ++mark.column) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const size_t length = byte < 0x80U ? 1 : byte < 0xE0U ? 2 : byte < 0xF0U ? 3 : 4;
    const bool lead = byte < 0x80U || (byte >= 0xC2U && byte <= 0xF4U);
    if (!lead || (byte < 0x20U && byte != '\t' && byte != '\n' && byte != '\r')) {
      refuse("byte = " + std::to_string(byte));
    }
    for (size_t k = 1; k < length; ++k) {
      const auto next = i + k < text.size() ? static_cast<unsigned char>(text[i + k]) : 0U;
      // Overlong forms, surrogates and what lies beyond U+10FFFF show in the second byte.
      const unsigned low = k > 1 ? 0x80U : byte == 0xE0U ? 0xA0U : byte == 0xF0U ? 0x90U : 0x80U;
      const unsigned high = k > 1 ? 0xBFU : byte == 0xEDU ? 0x9FU : byte == 0xF4U ? 0x8FU : 0xBFU;
      if (next < low || next > high) refuse("byte = " + std::to_string(byte));
    }
    i += length;
    if (byte == '\n') {
      ++mark.line;
      mark.column = -1;
    }
  }
}

}  // namespace

ConfigNode parse_yaml(const std::string& text, const std::string& origin, int override_index) {
  TreeBuilder builder(override_index);
  try {
    require_text(text);
    // yaml-cpp takes an open quote before a final line break for a closed one; a comment after it
    // makes the parser see the end of the text inside the quote.
    std::istringstream input(text + (text.empty() || text.back() == '\n' ? "#" : "\n#"));
    YAML::Parser parser(input);
    parser.HandleNextDocument(builder);
    TreeBuilder second(override_index);
    if (parser.HandleNextDocument(second)) {
      const Location location = second.take_root().location;
      throw YAML::ParserException(YAML::Mark::null_mark(), "a second document begins at line " +
                                                               std::to_string(location.line) +
                                                               ", expected only one");
    }
  } catch (const YAML::Exception& error) {
    std::string where = origin;
    if (override_index < 0) {
      const YAML::Mark mark = error.mark.is_null() ? YAML::Mark() : error.mark;
      where += ":" + std::to_string(mark.line + 1) + ":" + std::to_string(mark.column + 1);
    }
    throw ConfigError(where + ": " + error.msg);
  }
  return builder.take_root();
}

}  // namespace lathe::config_detail
