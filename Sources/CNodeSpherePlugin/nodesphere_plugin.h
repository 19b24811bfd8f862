/* What a native plugin of Node Sphere gives: one function, `nodesphere_plugin_entry`, that returns a filled `nodesphere_plugin`.
 *
 * A native plugin runs inside the server: a crash in it ends the server. It is loaded only when the configuration grants it
 * (plugins.grants.NAME: {native: true}). docs/plugins.md shows one. */
#ifndef NODESPHERE_PLUGIN_H
#define NODESPHERE_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Grows with every change that an older plugin or server would not understand. */
#define NODESPHERE_PLUGIN_VERSION 1

/* Bytes that belong to the server and are good until the call returns. They end with no zero byte. */
typedef struct {
    const uint8_t *bytes;
    size_t length;
} nodesphere_bytes;

/* Where a plugin writes what it gives. `write` copies, and may be called several times; more than a mebibyte is an error. */
typedef struct {
    void *context;
    void (*write)(void *context, const void *bytes, size_t length);
} nodesphere_output;

/* What a call came to. */
enum {
    /* The output is what was asked for. */
    NODESPHERE_OK = 0,
    /* Of a decoder: the message is no reading. */
    NODESPHERE_IGNORED = 1,
    /* Of a channel: it may work later. The output is the reason, UTF-8. */
    NODESPHERE_RETRY = 2,
    /* The output is the reason, UTF-8. */
    NODESPHERE_FAILED = 3
};

typedef struct {
    /* NODESPHERE_PLUGIN_VERSION */
    uint32_t version;

    /* Called once, after loading, with the plugin's settings as a JSON object. Gives the state that every other call gets, and may be NULL, as may the
     * state. */
    void *(*start)(nodesphere_bytes settings);

    /* Writes the fields as a JSON object. `time`: set it to the message's own time in seconds since 1970, or leave it. Calls do not overlap. It must not
     * block. NULL when the plugin has no decoder. */
    int32_t (*decode)(
        void *state, const char *decoder, nodesphere_bytes topic, nodesphere_bytes payload, double *time, const nodesphere_output *output);

    /* Forgets what earlier messages taught the decoders. May be NULL. */
    void (*forget)(void *state);

    /* Gets the arguments as a JSON array, writes the value as JSON. Pure; calls do not overlap. NULL when the plugin has no function. */
    int32_t (*call)(void *state, const char *function, nodesphere_bytes arguments, const nodesphere_output *output);

    /* Gets the Alertmanager document and the channel's configuration as JSON. May block up to 60 s; called on threads of its own, several at once. NULL when
     * the plugin has no channel. */
    int32_t (*deliver)(
        void *state, const char *channel, nodesphere_bytes notification, nodesphere_bytes configuration, const nodesphere_output *output);
} nodesphere_plugin;

/* The symbol that the server looks for. What it returns must stay. */
const nodesphere_plugin *nodesphere_plugin_entry(void);

#ifdef __cplusplus
}
#endif
#endif
