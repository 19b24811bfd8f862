/* A publisher that costs as little as possible: MQTT 3.1.1 packets encoded beforehand, written in large pieces.
 *
 *   publisher PORT COUNT QOS TOPICS [RATE [WINDOW [PREFIX]]]
 *
 * Topics are dev/00000/up and so on, or below another PREFIX than dev; payloads are JSON objects of 100 bytes. RATE is messages a second, 0 as fast as possible. With QoS 1 at most
 * WINDOW messages (2000) are unacknowledged. Prints one line of JSON: messages, when it began (CLOCK_MONOTONIC), seconds until all were sent (QoS 0)
 * or acknowledged (QoS 1). */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { payload_size = 100, packet_limit = 160, piece = 200 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void write_all(int socket, const unsigned char *bytes, size_t count) {
    while (count) {
        ssize_t written = write(socket, bytes, count);
        if (written <= 0) fail("publisher: write");
        bytes += written;
        count -= (size_t)written;
    }
}

static int open_session(int port) {
    int descriptor = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (descriptor < 0 || connect(descriptor, (struct sockaddr *)&address, sizeof address)) fail("publisher: connect");
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    /* Clean session, no keep-alive, a client id that the broker chooses. */
    static const unsigned char hello[] = {0x10, 12, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0, 0};
    unsigned char answer[4];
    write_all(descriptor, hello, sizeof hello);
    if (recv(descriptor, answer, 4, MSG_WAITALL) != 4 || answer[3]) {
        fprintf(stderr, "publisher: the broker refused the connection\n");
        exit(1);
    }
    return descriptor;
}

static size_t encode(unsigned char *at, long number, int qos, int topics, const char *prefix) {
    char topic[32], payload[packet_limit];
    int device = (int)(number % topics);
    int topic_size = snprintf(topic, sizeof topic, "%s/%05d/up", prefix, device);
    int size = snprintf(payload, sizeof payload, "{\"device\":\"dev-%05d\",\"seq\":%ld,\"temperature\":%.2f,\"humidity\":%.1f,\"note\":\"", device,
                        number, 20 + (double)(number % 2000) / 100, 30 + (double)(number % 500) / 10);
    while (size < payload_size - 2) payload[size++] = '.';
    payload[size++] = '"';
    payload[size++] = '}';
    int rest = 2 + topic_size + (qos ? 2 : 0) + size;
    unsigned char *start = at;
    *at++ = (unsigned char)(0x30 | qos << 1);
    if (rest >= 128) {
        *at++ = (unsigned char)(rest % 128 | 128);
        *at++ = (unsigned char)(rest / 128);
    } else {
        *at++ = (unsigned char)rest;
    }
    *at++ = 0;
    *at++ = (unsigned char)topic_size;
    memcpy(at, topic, (size_t)topic_size);
    at += topic_size;
    if (qos) {
        long id = number % 65535 + 1;
        *at++ = (unsigned char)(id >> 8);
        *at++ = (unsigned char)id;
    }
    memcpy(at, payload, (size_t)size);
    return (size_t)(at + size - start);
}

int main(int count, char **arguments) {
    if (count < 5) {
        fprintf(stderr, "usage: publisher PORT COUNT QOS TOPICS [RATE [WINDOW [PREFIX]]]\n");
        return 2;
    }
    long messages = atol(arguments[2]), window = count > 6 ? atol(arguments[6]) : 2000;
    int qos = atoi(arguments[3]), topics = atoi(arguments[4]);
    double rate = count > 5 ? atof(arguments[5]) : 0;
    const char *prefix = count > 7 ? arguments[7] : "dev";
    if (messages < 1 || topics < 1 || qos < 0 || qos > 1 || window < 1 || strlen(prefix) > 12) {
        fprintf(stderr, "publisher: COUNT, TOPICS and WINDOW are at least 1, QOS is 0 or 1, PREFIX has at most 12 bytes\n");
        return 2;
    }
    unsigned char *packets = malloc((size_t)messages * packet_limit);
    size_t *offsets = malloc(((size_t)messages + 1) * sizeof *offsets), size = 0;
    if (!packets || !offsets) fail("publisher: memory");
    for (long i = 0; i < messages; i++) {
        offsets[i] = size;
        size += encode(packets + size, i, qos, topics, prefix);
    }
    offsets[messages] = size;

    int descriptor = open_session(atoi(arguments[1]));
    double began = now();
    long sent = 0, answered = 0; /* bytes of PUBACK, four each */
    static unsigned char answers[65536];
    while (sent < messages || (qos && answered < 4 * messages)) {
        long limit = messages;
        if (qos && answered / 4 + window < limit) limit = answered / 4 + window;
        if (rate > 0 && (long)((now() - began) * rate) < limit) limit = (long)((now() - began) * rate);
        if (limit - sent > piece) limit = sent + piece;
        if (limit > sent) {
            write_all(descriptor, packets + offsets[sent], offsets[limit] - offsets[sent]);
            sent = limit;
        }
        if (qos) {
            /* Waits only when nothing more may be sent yet. */
            struct pollfd polled = {.fd = descriptor, .events = POLLIN};
            int stuck = sent == messages || sent >= answered / 4 + window;
            if (poll(&polled, 1, stuck ? 1000 : rate > 0 ? 1 : 0) > 0) {
                ssize_t got = read(descriptor, answers, sizeof answers);
                if (got <= 0) fail("publisher: the broker closed the connection");
                answered += got;
            }
        } else if (rate > 0) {
            usleep(500);
        }
    }
    double ended = now();
    static const unsigned char goodbye[] = {0xe0, 0};
    write_all(descriptor, goodbye, sizeof goodbye);
    shutdown(descriptor, SHUT_WR);
    while (read(descriptor, answers, sizeof answers) > 0) {}
    printf("{\"messages\":%ld,\"qos\":%d,\"began\":%.6f,\"seconds\":%.6f}\n", messages, qos, began, ended - began);
    return 0;
}
