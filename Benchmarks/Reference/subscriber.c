/* The bare libmosquitto subscriber that ingest is measured against: counts messages and does nothing with them.
 *
 *   subscriber PORT FILTER QOS COUNT [3.1.1|5]
 *
 * Prints "ready" once subscribed and, after COUNT messages, one line of JSON: messages, when the last one came (CLOCK_MONOTONIC), seconds
 * from the first to the last, processor seconds. */
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

struct run {
    const char *filter;
    int qos;
    long wanted, seen;
    unsigned long checksum; /* touches each payload, as any consumer does */
    double began, ended;
};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void connected(struct mosquitto *client, void *context, int code) {
    struct run *run = context;
    if (code) {
        fprintf(stderr, "subscriber: refused: %s\n", mosquitto_connack_string(code));
        exit(1);
    }
    mosquitto_subscribe(client, NULL, run->filter, run->qos);
}

static void subscribed(struct mosquitto *client, void *context, int id, int count, const int *granted) {
    (void)client, (void)context, (void)id, (void)count, (void)granted;
    puts("ready");
    fflush(stdout);
}

static void received(struct mosquitto *client, void *context, const struct mosquitto_message *message) {
    struct run *run = context;
    if (!run->seen) run->began = now();
    if (message->payloadlen > 0) run->checksum += ((const unsigned char *)message->payload)[message->payloadlen - 1];
    if (++run->seen == run->wanted) {
        run->ended = now();
        mosquitto_disconnect(client);
    }
}

int main(int count, char **arguments) {
    if (count < 5) {
        fprintf(stderr, "usage: subscriber PORT FILTER QOS COUNT [3.1.1|5]\n");
        return 2;
    }
    struct run run = {.filter = arguments[2], .qos = atoi(arguments[3]), .wanted = atol(arguments[4])};
    mosquitto_lib_init();
    struct mosquitto *client = mosquitto_new(NULL, true, &run);
    if (!client) return 1;
    if (count > 5 && !strcmp(arguments[5], "5")) {
        mosquitto_int_option(client, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5);
        mosquitto_int_option(client, MOSQ_OPT_RECEIVE_MAXIMUM, 65535);
    }
    mosquitto_int_option(client, MOSQ_OPT_TCP_NODELAY, 1);
    mosquitto_connect_callback_set(client, connected);
    mosquitto_subscribe_callback_set(client, subscribed);
    mosquitto_message_callback_set(client, received);
    int code = mosquitto_connect(client, "127.0.0.1", atoi(arguments[1]), 60);
    if (!code) code = mosquitto_loop_forever(client, -1, 1);
    if (code) {
        fprintf(stderr, "subscriber: %s\n", mosquitto_strerror(code));
        return 1;
    }
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    double processor = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e-6;
    printf("{\"messages\":%ld,\"ended\":%.6f,\"seconds\":%.6f,\"processorSeconds\":%.6f,\"checksum\":%lu}\n", run.seen, run.ended,
           run.ended - run.began, processor, run.checksum);
    mosquitto_destroy(client);
    return 0;
}
