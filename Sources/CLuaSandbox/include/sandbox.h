#pragma once
// A Lua state in which nothing can run for ever, take more memory than it may, or reach out of itself.
//
// Everything that can raise a Lua error runs under lua_pcall or lua_resume in here: no longjmp crosses the caller's frames. Values go in and out
// through two byte buffers, so that the caller never touches the Lua stack.
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct lua_State lua_State;

/// What ended a run before its time.
enum sandbox_limit {
    SANDBOX_NO_LIMIT = 0,
    SANDBOX_INSTRUCTIONS = 1,
    SANDBOX_WALL_TIME = 2,
    SANDBOX_MEMORY = 3,
    SANDBOX_STRING_LENGTH = 4,
    /// `sandbox_stop` was called.
    SANDBOX_STOPPED = 5,
    /// A host function said so (output rate, waiting handlers).
    SANDBOX_HOST_LIMIT = 6,
};

enum sandbox_status { SANDBOX_DONE = 0, SANDBOX_WAITING = 1, SANDBOX_FAILED = 2 };

/// What a host function answers.
enum sandbox_answer {
    /// Its results are in `input`.
    SANDBOX_RETURN = 0,
    /// It raises an error; `input` holds the message's bytes.
    SANDBOX_RAISE = 1,
    /// The handler waits; the values of `sandbox_resume` become the results.
    SANDBOX_WAIT = 2,
    /// A limit of the host's was reached; `input` holds the message's bytes. The script cannot catch it.
    SANDBOX_EXCEED = 3,
};

/// Tags of the exchange: little-endian, lengths and counts of 32 bits.
enum sandbox_tag {
    SANDBOX_NIL = 0, SANDBOX_FALSE = 1, SANDBOX_TRUE = 2, SANDBOX_INTEGER = 3, SANDBOX_NUMBER = 4, SANDBOX_STRING = 5,
    /// A count, then so many values.
    SANDBOX_ARRAY = 6,
    /// A count, then so many pairs of a string (without its tag) and a value.
    SANDBOX_OBJECT = 7,
    /// JSON's null, which is not nil.
    SANDBOX_NULL = 8,
    /// A reference to a function (32 bits), see `sandbox_release`. Out of Lua only; into Lua it is pushed as that function.
    SANDBOX_FUNCTION = 9,
    /// A handle: a table whose methods were given by `sandbox_define_handle`; class (32 bits) and number (64 bits).
    SANDBOX_HANDLE = 10,
    /// Of messages: the configuration of the device (a string follows), asked for when it is looked at.
    SANDBOX_CONFIGURATION = 11,
};

typedef struct {
    uint8_t *base;
    size_t count, capacity;
} sandbox_bytes;

typedef struct {
    /// Instructions of a run; a C function counts for what it does.
    int64_t instructions;
    /// Of a run, in nanoseconds; 0: none.
    int64_t wall_time;
    size_t memory;
    /// Of one string.
    size_t string_length;
    /// Of the values that go out in one call.
    size_t exchange;
} sandbox_limits;

/// A message that is read: members with the offset of each, and what the host adds, which hides members.
typedef struct {
    sandbox_bytes members, offsets, extras;
} sandbox_message;

typedef struct sandbox sandbox;
typedef int32_t (*sandbox_host)(void *user, int32_t function, int32_t argument_count);

struct sandbox {
    lua_State *main;
    sandbox_limits limits;
    /// Into Lua: arguments and results of host functions. Out of Lua: arguments of host functions, results of handlers.
    sandbox_bytes input, output;
    /// In place of `output` where something is asked of the host while that is written.
    sandbox_bytes spare;
    /// How many values `output` holds.
    int32_t output_count;
    void *user;
    sandbox_host host;
    // The run at hand.
    int64_t left, deadline;
    /// Instructions of the last run.
    int64_t used;
    int32_t limit;
    bool is_running, may_wait, is_blocked, is_host_waiting;
    volatile bool is_stopped;
    lua_State *thread, *caller;
    int32_t close_depth;
    /// A coroutine that has ended without waiting, for the next run; its place in the table of threads.
    lua_State *idle;
    int32_t idle_reference;
    /// The host function that gives a device's configuration; below 0: there is none.
    int32_t configuration_function;
    const void *reading_metatable;
    // Memory.
    size_t memory, memory_peak;
    int32_t last_refusal;
    // The last failure.
    sandbox_bytes message, traceback, chunk;
    int32_t line;
    /// Whether the message began with a place; an error that was raised without one (`error("…", 0)`) is meant to be read without.
    bool is_placed;
    // Scratch of `pairs`.
    void *keys;
    size_t key_capacity;
    uint64_t random[4];
    void *chunk_names;
};

/// NULL when there is no memory for it.
sandbox *sandbox_new(sandbox_limits limits, uint64_t seed, sandbox_host host, void *user);
void sandbox_free(sandbox *s);

/// Defines a host function: `path` is `name` or `library.name`. `takes_functions`: functions among its arguments (also in tables) become references.
bool sandbox_define(sandbox *s, const char *path, int32_t function, bool takes_functions);
/// Defines a method of a class of handles.
bool sandbox_define_method(sandbox *s, int32_t class_number, const char *class_name, const char *name, int32_t function);
/// Sets a global (or a member of a library) to the value in `input`.
bool sandbox_set(sandbox *s, const char *path);
/// The value of a global, into `output`. False: it cannot be handed over, `message` says why.
bool sandbox_get(sandbox *s, const char *name);

/// Runs a chunk of text (never bytecode). What it returns is left in `output` when `wants_results`, else dropped.
/// With `may_wait` it may wait as a handler may (`*thread` is set).
int32_t sandbox_load(sandbox *s, const char *text, size_t length, const char *name, bool wants_results, bool may_wait, int32_t *thread);
/// Calls a function by reference with the values in `input`.
int32_t sandbox_call(sandbox *s, int32_t function, bool wants_results, bool may_wait, int32_t *thread);
/// Calls a function with a message and what the route to it has captured. It may wait, and what it returns is dropped.
int32_t sandbox_call_with_message(
    sandbox *s, int32_t function, const sandbox_message *message, const sandbox_bytes *captures, int32_t *thread);
/// Calls `name` of the table behind a reference, or the global function `name` when `table` is 0.
int32_t sandbox_call_named(sandbox *s, int32_t table, const char *name, bool wants_results, bool may_wait, int32_t *thread);
/// Goes on with a waiting handler; the values in `input` are what its wait gives.
int32_t sandbox_resume(sandbox *s, int32_t thread, bool wants_results);
/// Gives up a waiting handler.
void sandbox_drop(sandbox *s, int32_t thread);
void sandbox_release(sandbox *s, int32_t function);
void sandbox_collect(sandbox *s);
/// Ends the run at hand soon, from any thread.
void sandbox_stop(sandbox *s);
/// Whether the host function that is being called may answer SANDBOX_WAIT.
bool sandbox_may_wait(const sandbox *s);
/// The line of the script that called the host function being called; 0 when unknown. `chunk` gets the chunk's name.
int32_t sandbox_caller_line(sandbox *s);

// MARK: Writing `input`

void sandbox_grow(sandbox_bytes *b, size_t more);
/// Frees what a buffer has.
void sandbox_give_back(sandbox_bytes *b);

static inline sandbox_bytes *sandbox_input_bytes(sandbox *s) { return &s->input; }
static inline void sandbox_clear(sandbox_bytes *b) { b->count = 0; }
static inline uint8_t *sandbox_room(sandbox_bytes *b, size_t more) {
    if (b->capacity - b->count < more) sandbox_grow(b, more);
    uint8_t *at = b->base + b->count;
    b->count += more;
    return at;
}
static inline void sandbox_put_tag(sandbox_bytes *b, int32_t tag) { *sandbox_room(b, 1) = (uint8_t)tag; }
static inline void sandbox_put_count(sandbox_bytes *b, int32_t tag, uint32_t count) {
    uint8_t *at = sandbox_room(b, 5);
    at[0] = (uint8_t)tag;
    memcpy(at + 1, &count, 4);
}
static inline void sandbox_put_integer(sandbox_bytes *b, int64_t value) {
    uint8_t *at = sandbox_room(b, 9);
    at[0] = SANDBOX_INTEGER;
    memcpy(at + 1, &value, 8);
}
static inline void sandbox_put_number(sandbox_bytes *b, double value) {
    uint8_t *at = sandbox_room(b, 9);
    at[0] = SANDBOX_NUMBER;
    memcpy(at + 1, &value, 8);
}
/// A member's name.
static inline void sandbox_put_name(sandbox_bytes *b, const void *text, uint32_t length) {
    uint8_t *at = sandbox_room(b, 4 + (size_t)length);
    memcpy(at, &length, 4);
    if (length) memcpy(at + 4, text, length);
}
static inline void sandbox_put_string(sandbox_bytes *b, const void *text, uint32_t length) {
    sandbox_put_tag(b, SANDBOX_STRING);
    sandbox_put_name(b, text, length);
}
static inline void sandbox_put_raw(sandbox_bytes *b, const void *bytes, size_t length) {
    uint8_t *at = sandbox_room(b, length);
    if (length) memcpy(at, bytes, length);
}
static inline void sandbox_put_reference(sandbox_bytes *b, int32_t tag, int32_t number) {
    uint8_t *at = sandbox_room(b, 5);
    at[0] = (uint8_t)tag;
    memcpy(at + 1, &number, 4);
}
static inline void sandbox_put_handle(sandbox_bytes *b, int32_t class_number, int64_t number) {
    sandbox_put_reference(b, SANDBOX_HANDLE, class_number);
    memcpy(sandbox_room(b, 8), &number, 8);
}

// MARK: JSON

enum sandbox_json { SANDBOX_JSON_EMPTY = -1, SANDBOX_JSON_SYNTAX = -2, SANDBOX_JSON_UTF8 = -3, SANDBOX_JSON_DEPTH = -4 };

/// Adds the value that a text of JSON holds. Not 0: it is none, and what was added is of no use.
int32_t sandbox_put_json(sandbox_bytes *b, const void *text, size_t length);
/// Adds the members (name and value) that a payload gives a reading: those of a JSON object; of any other JSON value, or of plain text, `value`.
/// Gives their number, or what is wrong. `offsets` gets a 32-bit offset in `b` for each, and may be NULL.
int32_t sandbox_put_reading(sandbox_bytes *b, sandbox_bytes *offsets, const void *text, size_t length);
/// Reads a message, in place of the one before; the number of its members, or what is wrong with its payload. `time` in seconds since 1970.
int32_t sandbox_read_message(
    sandbox_message *m, const void *topic, size_t topic_length, const void *payload, size_t payload_length, bool is_retained, double time);
void sandbox_give_back_message(sandbox_message *m);
/// Adds a device's configuration to what a route captures.
static inline void sandbox_put_configuration(sandbox_bytes *b, const void *device, uint32_t length) {
    sandbox_put_name(b, "config", 6);
    sandbox_put_tag(b, SANDBOX_CONFIGURATION);
    sandbox_put_name(b, device, length);
}
bool sandbox_is_utf8(const void *text, size_t length);
