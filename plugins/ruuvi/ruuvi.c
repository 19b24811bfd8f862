/* RuuviTag, data format 5 (RAWv2): https://docs.ruuvi.com/communication/bluetooth-advertisements/data-format-5-rawv2
 *
 * Takes the manufacturer data itself, or the message of Ruuvi's gateway, {"data": "0201061BFF9904…"}, with the advertisement in hexadecimal. */
#include "nodesphere_plugin.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIZE = 24, LONGEST = 64 };

static int32_t say(const nodesphere_output *output, int32_t result, const char *text) {
    output->write(output->context, text, strlen(text));
    return result;
}

static int digit(uint8_t byte) {
    if (byte >= '0' && byte <= '9') return byte - '0';
    if (byte >= 'a' && byte <= 'f') return byte - 'a' + 10;
    if (byte >= 'A' && byte <= 'F') return byte - 'A' + 10;
    return -1;
}

/* The text behind `"data":"` of the gateway's message, which has no escapes in it, as bytes. -1: there is none. */
static int advertisement(nodesphere_bytes payload, uint8_t *bytes) {
    static const char key[] = "\"data\"";
    const size_t length = sizeof key - 1;
    for (size_t at = 0; at + length < payload.length; at++) {
        if (memcmp(payload.bytes + at, key, length) != 0) continue;
        at += length;
        while (at < payload.length && (payload.bytes[at] == ' ' || payload.bytes[at] == ':')) at++;
        if (at == payload.length || payload.bytes[at++] != '"') return -1;
        int count = 0;
        while (at + 1 < payload.length && count < LONGEST) {
            int high = digit(payload.bytes[at]), low = digit(payload.bytes[at + 1]);
            if (high < 0 || low < 0) break;
            bytes[count++] = (uint8_t)(high << 4 | low);
            at += 2;
        }
        return count;
    }
    return -1;
}

/* Where the manufacturer data begins behind Ruuvi's company identifier (0x0499, little-endian) and its type 0xFF. */
static const uint8_t *ruuvi_data(const uint8_t *bytes, int count) {
    for (int at = 0; at + 3 + SIZE <= count; at++)
        if (bytes[at] == 0xFF && bytes[at + 1] == 0x99 && bytes[at + 2] == 0x04) return bytes + at + 3;
    return NULL;
}

static int whole(const uint8_t *bytes) { return bytes[0] << 8 | bytes[1]; }
static int signed_whole(const uint8_t *bytes) { return (int16_t)whole(bytes); }

/* Writes a member when the tag gives it: a value that it cannot measure is the lowest or highest one. */
static void member(char *json, size_t room, const char *name, double value, bool is_there) {
    size_t used = strlen(json);
    if (is_there && used < room) snprintf(json + used, room - used, "%s\"%s\":%.10g", used > 1 ? "," : "", name, value);
}

static int32_t decode(
    void *state, const char *decoder, nodesphere_bytes topic, nodesphere_bytes payload, double *time, const nodesphere_output *output) {
    (void)state, (void)decoder, (void)topic, (void)time;
    uint8_t bytes[LONGEST];
    const uint8_t *data = payload.bytes;
    if (payload.length == 0) return say(output, NODESPHERE_FAILED, "the payload is empty");
    if (payload.bytes[0] == '{') {
        int count = advertisement(payload, bytes);
        if (count < 0) return say(output, NODESPHERE_FAILED, "the gateway's message must have 'data', in hexadecimal");
        data = ruuvi_data(bytes, count);
        /* The gateway publishes what other makers' beacons say, too. */
        if (!data) return NODESPHERE_IGNORED;
    } else if (payload.length != SIZE) {
        return say(output, NODESPHERE_FAILED, "the payload must have 24 bytes");
    }
    if (data[0] != 5) return say(output, NODESPHERE_FAILED, "the data format must be 5");
    char json[512] = "{";
    member(json, sizeof json, "temperature", signed_whole(data + 1) * 0.005, signed_whole(data + 1) != INT16_MIN);
    member(json, sizeof json, "humidity", whole(data + 3) * 0.0025, whole(data + 3) != 0xFFFF);
    member(json, sizeof json, "pressure", (whole(data + 5) + 50000) / 100.0, whole(data + 5) != 0xFFFF);
    member(json, sizeof json, "acceleration_x", signed_whole(data + 7) / 1000.0, signed_whole(data + 7) != INT16_MIN);
    member(json, sizeof json, "acceleration_y", signed_whole(data + 9) / 1000.0, signed_whole(data + 9) != INT16_MIN);
    member(json, sizeof json, "acceleration_z", signed_whole(data + 11) / 1000.0, signed_whole(data + 11) != INT16_MIN);
    int power = whole(data + 13);
    member(json, sizeof json, "battery", ((power >> 5) + 1600) / 1000.0, power >> 5 != 2047);
    member(json, sizeof json, "tx_power", (power & 31) * 2 - 40, (power & 31) != 31);
    member(json, sizeof json, "movements", data[15], data[15] != 0xFF);
    member(json, sizeof json, "sequence", whole(data + 16), whole(data + 16) != 0xFFFF);
    size_t used = strlen(json);
    snprintf(
        json + used, sizeof json - used, "%s\"mac\":\"%02X:%02X:%02X:%02X:%02X:%02X\"}", used > 1 ? "," : "", data[18], data[19], data[20],
        data[21], data[22], data[23]);
    return say(output, NODESPHERE_OK, json);
}

/* Arguments are a JSON array of two numbers: [2.4,21]. */
static int32_t call(void *state, const char *function, nodesphere_bytes arguments, const nodesphere_output *output) {
    (void)state, (void)function;
    char text[128];
    if (arguments.length >= sizeof text) return say(output, NODESPHERE_FAILED, "too many arguments");
    memcpy(text, arguments.bytes, arguments.length);
    text[arguments.length] = 0;
    double volts, temperature;
    if (sscanf(text, "[%lf,%lf]", &volts, &temperature) != 2) return say(output, NODESPHERE_FAILED, "two numbers are needed");
    double lowest = temperature <= -20 ? 2.0 : temperature <= 0 ? 2.3 : 2.5;
    return say(output, NODESPHERE_OK, volts < lowest ? "true" : "false");
}

static const nodesphere_plugin plugin = {.version = NODESPHERE_PLUGIN_VERSION, .decode = decode, .call = call};

const nodesphere_plugin *nodesphere_plugin_entry(void) { return &plugin; }
