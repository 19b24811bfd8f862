#include "cre2.h"

#include <re2/re2.h>

#include <cstring>
#include <memory>
#include <new>
#include <vector>

struct cre2_pattern {
    RE2 expression;
    cre2_pattern(re2::StringPiece text, const RE2::Options &options) : expression(text, options) {}
};

static void say(const std::string &text, char *message, size_t capacity) {
    if (capacity == 0) return;
    size_t length = text.size() < capacity - 1 ? text.size() : capacity - 1;
    std::memcpy(message, text.data(), length);
    message[length] = 0;
}

extern "C" {

cre2_pattern *cre2_compile(const char *pattern, size_t length, int64_t max_memory, char *message, size_t capacity) {
    RE2::Options options(RE2::DefaultOptions);
    options.set_max_mem(max_memory);
    options.set_log_errors(false);
    std::unique_ptr<cre2_pattern> made(new (std::nothrow) cre2_pattern(re2::StringPiece(pattern, length), options));
    if (!made) {
        say("out of memory", message, capacity);
        return nullptr;
    }
    if (!made->expression.ok()) {
        say(made->expression.error(), message, capacity);
        return nullptr;
    }
    return made.release();
}

void cre2_free(cre2_pattern *pattern) { delete pattern; }

bool cre2_is_match(const cre2_pattern *pattern, const char *text, size_t length) {
    return pattern->expression.Match(re2::StringPiece(text, length), 0, length, RE2::UNANCHORED, nullptr, 0);
}

bool cre2_find(const cre2_pattern *pattern, const char *text, size_t length, size_t offset, cre2_range *groups, int32_t count) {
    if (offset > length || count < 1) return false;
    std::vector<re2::StringPiece> pieces(static_cast<size_t>(count));
    if (!pattern->expression.Match(re2::StringPiece(text, length), offset, length, RE2::UNANCHORED, pieces.data(), count)) return false;
    for (int32_t i = 0; i < count; i++) {
        const re2::StringPiece &piece = pieces[static_cast<size_t>(i)];
        if (piece.data() == nullptr) {
            groups[i] = {-1, -1};
        } else {
            groups[i] = {piece.data() - text, piece.data() - text + static_cast<ptrdiff_t>(piece.size())};
        }
    }
    return true;
}

int32_t cre2_program_size(const cre2_pattern *pattern) { return pattern->expression.ProgramSize(); }

int32_t cre2_group_count(const cre2_pattern *pattern) { return pattern->expression.NumberOfCapturingGroups(); }
}
