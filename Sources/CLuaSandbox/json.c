// JSON to the exchange's form, in one pass: readings and `json.decode`. Strict (RFC 8259), UTF-8 is checked, depth is bounded.
#include "internal.h"

#define DEEPEST_JSON 32

typedef struct {
    const uint8_t *at, *end;
    sandbox_bytes *out;
    /// Where the members of the outermost object begin; may be NULL.
    sandbox_bytes *offsets;
} json;

static void skip_space(json *j) {
    while (j->at < j->end && (*j->at == ' ' || *j->at == '\t' || *j->at == '\n' || *j->at == '\r')) j->at++;
}

/// The length of the UTF-8 sequence at `at`; 0 when it is none.
static size_t utf8_length(const uint8_t *at, const uint8_t *end) {
    size_t left = (size_t)(end - at);
    uint8_t a = at[0];
    if (a < 0x80) return 1;
    if (a < 0xC2 || left < 2) return 0;
    if (a < 0xE0) return (at[1] & 0xC0) == 0x80 ? 2 : 0;
    if (left < 3 || (at[1] & 0xC0) != 0x80 || (at[2] & 0xC0) != 0x80) return 0;
    if (a < 0xF0) {
        if ((a == 0xE0 && at[1] < 0xA0) || (a == 0xED && at[1] > 0x9F)) return 0;
        return 3;
    }
    if (left < 4 || a > 0xF4 || (at[3] & 0xC0) != 0x80) return 0;
    if ((a == 0xF0 && at[1] < 0x90) || (a == 0xF4 && at[1] > 0x8F)) return 0;
    return 4;
}

bool sandbox_is_utf8(const void *text, size_t length) {
    const uint8_t *at = text, *end = at + length;
    while (at < end) {
        size_t count = utf8_length(at, end);
        if (!count) return false;
        at += count;
    }
    return true;
}

static int hex4(const uint8_t *at) {
    int value = 0;
    for (int i = 0; i < 4; i++) {
        uint8_t c = at[i];
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
        if (digit < 0) return -1;
        value = value * 16 + digit;
    }
    return value;
}

static void put_scalar(sandbox_bytes *out, uint32_t c) {
    uint8_t bytes[4];
    size_t count;
    if (c < 0x80) {
        bytes[0] = (uint8_t)c;
        count = 1;
    } else if (c < 0x800) {
        bytes[0] = (uint8_t)(0xC0 | c >> 6);
        bytes[1] = (uint8_t)(0x80 | (c & 0x3F));
        count = 2;
    } else if (c < 0x10000) {
        bytes[0] = (uint8_t)(0xE0 | c >> 12);
        bytes[1] = (uint8_t)(0x80 | (c >> 6 & 0x3F));
        bytes[2] = (uint8_t)(0x80 | (c & 0x3F));
        count = 3;
    } else {
        bytes[0] = (uint8_t)(0xF0 | c >> 18);
        bytes[1] = (uint8_t)(0x80 | (c >> 12 & 0x3F));
        bytes[2] = (uint8_t)(0x80 | (c >> 6 & 0x3F));
        bytes[3] = (uint8_t)(0x80 | (c & 0x3F));
        count = 4;
    }
    sandbox_put_raw(out, bytes, count);
}

static int32_t read_escape(json *j) {
    if (j->at >= j->end) return SANDBOX_JSON_SYNTAX;
    uint8_t c = *j->at++;
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *found = c ? strchr(from, c) : NULL;
    if (found) {
        sandbox_put_tag(j->out, to[found - from]);
        return 0;
    }
    if (c != 'u' || j->end - j->at < 4) return SANDBOX_JSON_SYNTAX;
    int unit = hex4(j->at);
    if (unit < 0) return SANDBOX_JSON_SYNTAX;
    j->at += 4;
    uint32_t scalar = (uint32_t)unit;
    if (unit >= 0xD800 && unit < 0xE000) {
        // Half a pair stands for nothing; together they are one character.
        scalar = 0xFFFD;
        if (unit < 0xDC00 && j->end - j->at >= 6 && j->at[0] == '\\' && j->at[1] == 'u') {
            int low = hex4(j->at + 2);
            if (low >= 0xDC00 && low < 0xE000) {
                scalar = 0x10000 + ((uint32_t)(unit - 0xD800) << 10) + (uint32_t)(low - 0xDC00);
                j->at += 6;
            }
        }
    }
    put_scalar(j->out, scalar);
    return 0;
}

/// A string after its quote, as a length and bytes.
static int32_t read_string(json *j) {
    size_t place = j->out->count;
    sandbox_room(j->out, 4);
    while (true) {
        const uint8_t *start = j->at;
        while (j->at < j->end && *j->at != '"' && *j->at != '\\' && *j->at >= 0x20 && *j->at < 0x80) j->at++;
        sandbox_put_raw(j->out, start, (size_t)(j->at - start));
        if (j->at >= j->end || *j->at < 0x20) return SANDBOX_JSON_SYNTAX;
        if (*j->at == '"') break;
        if (*j->at == '\\') {
            j->at++;
            int32_t failure = read_escape(j);
            if (failure) return failure;
            continue;
        }
        size_t count = utf8_length(j->at, j->end);
        if (!count) return SANDBOX_JSON_UTF8;
        sandbox_put_raw(j->out, j->at, count);
        j->at += count;
    }
    j->at++;
    uint32_t length = (uint32_t)(j->out->count - place - 4);
    memcpy(j->out->base + place, &length, 4);
    return 0;
}

static bool is_digit(const json *j) { return j->at < j->end && *j->at >= '0' && *j->at <= '9'; }

static int32_t read_number(json *j) {
    const uint8_t *start = j->at;
    bool is_negative = *j->at == '-', is_whole = true;
    if (is_negative) j->at++;
    if (!is_digit(j)) return SANDBOX_JSON_SYNTAX;
    uint64_t value = 0;
    bool fits = true;
    /// Of the significand, and how many of them stand behind the point.
    int digits = 0, scale = 0;
    if (*j->at == '0') j->at++;
    else
        while (is_digit(j)) {
            if (value > (INT64_MAX - 9) / 10) fits = false;
            value = value * 10 + (uint64_t)(*j->at++ - '0');
            digits++;
        }
    if (j->at < j->end && *j->at == '.') {
        is_whole = false;
        j->at++;
        if (!is_digit(j)) return SANDBOX_JSON_SYNTAX;
        for (; is_digit(j); j->at++) {
            if (++digits <= 15) value = value * 10 + (uint64_t)(*j->at - '0');
            scale++;
        }
    }
    if (j->at < j->end && (*j->at | 0x20) == 'e') {
        is_whole = fits = false;
        j->at++;
        if (j->at < j->end && (*j->at == '+' || *j->at == '-')) j->at++;
        if (!is_digit(j)) return SANDBOX_JSON_SYNTAX;
        while (is_digit(j)) j->at++;
    }
    if (is_whole && fits && !(is_negative && value == 0)) {
        sandbox_put_integer(j->out, is_negative ? -(int64_t)value : (int64_t)value);
        return 0;
    }
    // Up to 2^53 and 10^22 both are doubles, and the quotient is rounded once (Clinger 1990): no need for strtod.
    if (fits && digits <= 15 && scale <= 22) {
        static const double powers[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
            1e19, 1e20, 1e21, 1e22};
        double number = (double)value / powers[scale];
        sandbox_put_number(j->out, is_negative ? -number : number);
        return 0;
    }
    size_t length = (size_t)(j->at - start);
    char text[64], *long_text = length < sizeof text ? text : malloc(length + 1);
    if (!long_text) return SANDBOX_JSON_SYNTAX;
    memcpy(long_text, start, length);
    long_text[length] = 0;
    double number = strtod(long_text, NULL);
    if (long_text != text) free(long_text);
    // A number that no double holds is as absent.
    if (number - number != 0) sandbox_put_tag(j->out, SANDBOX_NULL);
    else sandbox_put_number(j->out, number);
    return 0;
}

static int32_t read_value(json *j, int depth);

static int32_t read_word(json *j, const char *word, int32_t tag) {
    size_t length = strlen(word);
    if ((size_t)(j->end - j->at) < length || memcmp(j->at, word, length) != 0) return SANDBOX_JSON_SYNTAX;
    j->at += length;
    sandbox_put_tag(j->out, tag);
    return 0;
}

static void put_offset(sandbox_bytes *offsets, size_t offset) {
    uint32_t value = (uint32_t)offset;
    sandbox_put_raw(offsets, &value, 4);
}

/// The members of an object after its brace; their number, or a failure below 0.
static int32_t read_members(json *j, int depth) {
    int32_t count = 0;
    skip_space(j);
    if (j->at < j->end && *j->at == '}') {
        j->at++;
        return 0;
    }
    while (true) {
        skip_space(j);
        if (j->at >= j->end || *j->at++ != '"') return SANDBOX_JSON_SYNTAX;
        if (depth == 0 && j->offsets) put_offset(j->offsets, j->out->count);
        int32_t failure = read_string(j);
        if (failure) return failure;
        skip_space(j);
        if (j->at >= j->end || *j->at++ != ':') return SANDBOX_JSON_SYNTAX;
        if ((failure = read_value(j, depth + 1))) return failure;
        count++;
        skip_space(j);
        if (j->at >= j->end) return SANDBOX_JSON_SYNTAX;
        uint8_t c = *j->at++;
        if (c == '}') return count;
        if (c != ',') return SANDBOX_JSON_SYNTAX;
    }
}

static int32_t read_elements(json *j, int depth) {
    int32_t count = 0;
    skip_space(j);
    if (j->at < j->end && *j->at == ']') {
        j->at++;
        return 0;
    }
    while (true) {
        int32_t failure = read_value(j, depth + 1);
        if (failure) return failure;
        count++;
        skip_space(j);
        if (j->at >= j->end) return SANDBOX_JSON_SYNTAX;
        uint8_t c = *j->at++;
        if (c == ']') return count;
        if (c != ',') return SANDBOX_JSON_SYNTAX;
    }
}

static int32_t read_value(json *j, int depth) {
    if (depth > DEEPEST_JSON) return SANDBOX_JSON_DEPTH;
    skip_space(j);
    if (j->at >= j->end) return SANDBOX_JSON_SYNTAX;
    switch (*j->at) {
    case '{': case '[': {
        bool is_object = *j->at++ == '{';
        sandbox_put_count(j->out, is_object ? SANDBOX_OBJECT : SANDBOX_ARRAY, 0);
        size_t place = j->out->count - 4;
        int32_t count = is_object ? read_members(j, depth) : read_elements(j, depth);
        if (count < 0) return count;
        memcpy(j->out->base + place, &count, 4);
        return 0;
    }
    case '"':
        j->at++;
        sandbox_put_tag(j->out, SANDBOX_STRING);
        return read_string(j);
    case 't': return read_word(j, "true", SANDBOX_TRUE);
    case 'f': return read_word(j, "false", SANDBOX_FALSE);
    case 'n': return read_word(j, "null", SANDBOX_NULL);
    default: return read_number(j);
    }
}

int32_t sandbox_put_json(sandbox_bytes *b, const void *text, size_t length) {
    json j = {text, (const uint8_t *)text + length, b, NULL};
    int32_t failure = read_value(&j, 0);
    if (failure) return failure;
    skip_space(&j);
    return j.at == j.end ? 0 : SANDBOX_JSON_SYNTAX;
}

/// `json.decode(text)`: the value, or nil and a message.
int json_decode(lua_State *L) {
    sandbox *s = owner(L);
    size_t length;
    if (!lua_isstring(L, 1)) return luaL_error(L, "json.decode: wants a string");
    const char *text = lua_tolstring(L, 1, &length);
    charge(L, s, 20 + (int64_t)(length >> 2));
    // Nothing is on its way into Lua while Lua runs.
    sandbox_clear(&s->input);
    bool is_json = sandbox_put_json(&s->input, text, length) == 0;
    size_t count = s->input.count;
    s->input.count = 0;
    if (!is_json || !count) {
        lua_pushnil(L);
        lua_pushliteral(L, "it is no JSON");
        return 2;
    }
    decode_at(L, s->input.base);
    return 1;
}

int32_t sandbox_put_reading(sandbox_bytes *b, sandbox_bytes *offsets, const void *text, size_t length) {
    json j = {text, (const uint8_t *)text + length, b, offsets};
    skip_space(&j);
    if (j.at == j.end) return SANDBOX_JSON_EMPTY;
    size_t start = b->count;
    uint8_t first = *j.at;
    int32_t count = 1;
    if (first == '{') {
        j.at++;
        count = read_members(&j, 0);
        if (count < 0) return count;
    } else {
        if (offsets) put_offset(offsets, start);
        j.offsets = NULL;
        sandbox_put_name(b, "value", 5);
        int32_t failure = read_value(&j, 0);
        if (failure && first == '[') return failure;
        skip_space(&j);
        if (failure || j.at != j.end) {
            // No JSON: plain text.
            if (first == '[' || !sandbox_is_utf8(text, length)) return first == '[' ? SANDBOX_JSON_SYNTAX : SANDBOX_JSON_UTF8;
            b->count = start;
            sandbox_put_name(b, "value", 5);
            sandbox_put_string(b, text, (uint32_t)length);
            return 1;
        }
    }
    skip_space(&j);
    return j.at == j.end ? count : SANDBOX_JSON_SYNTAX;
}
