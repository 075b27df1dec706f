/*
 * The reading side of the fan-out figures: N sockets in one epoll loop, so that the load never is the bottleneck
 * (its own CPU use is printed beside every count).
 *
 *   fanout-client <host> <port> <clients> <request file> <marker> [<stamp>]
 *
 * Sends the request file's bytes on each socket as soon as it is connected (an HTTP request or upgrade; "-" sends
 * nothing), then one line of the second request file for WebSocket subscriptions where the file has a second part
 * after a line "====" (sent once the first bytes have come back). Counts how often the marker occurs in what arrives.
 * With <stamp>, the text in front of an event's time in Unix milliseconds, it also notes how long after that time each
 * event was received. Commands on standard input, one a line: "read" prints
 * `{"open":n,"events":n,"bytes":n,"cpu_us":n,"delay_p50_us":n}`, the last over what came since the last "read" (-1 for
 * none); "quit" ends.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_MARKER 63
#define READ_SIZE (256 * 1024)
#define DELAY_STEP_US 10
#define DELAY_STEPS 100000 /* up to a second */

struct peer {
  int fd;
  int stage; /* 0 connecting, 1 first request sent, 2 second part sent */
  int tail_len;
  char tail[MAX_MARKER + 1];
};

static char *first, *second;
static size_t first_len, second_len;
static const char *marker;
static size_t marker_len;
static unsigned long long events, bytes;
static const char *stamp;
static unsigned delays[DELAY_STEPS];
static unsigned long long delay_count;
static int open_count, websocket;
static char buffer[MAX_MARKER + READ_SIZE];

static void load(const char *path) {
  if (strcmp(path, "-") == 0) return;
  FILE *file = fopen(path, "rb");
  if (!file) { perror(path); exit(2); }
  static char text[65536];
  size_t length = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  text[length] = 0;
  char *split = memmem(text, length, "\n====\n", 6);
  first = text;
  first_len = split ? (size_t)(split - text) : length;
  if (split) { second = split + 6; second_len = length - first_len - 6; }
}

static void send_all(int fd, const char *data, size_t length) {
  while (length > 0) {
    ssize_t n = send(fd, data, length, MSG_NOSIGNAL);
    if (n <= 0) { if (n < 0 && errno == EAGAIN) continue; return; }
    data += n;
    length -= (size_t)n;
  }
}

/* Counts markers in this read, carrying the last marker_len-1 bytes over, so that a split marker is seen once. */
static void count(struct peer *peer, size_t length) {
  char *start = buffer + MAX_MARKER - peer->tail_len;
  memcpy(start, peer->tail, (size_t)peer->tail_len);
  char *end = buffer + MAX_MARKER + length, *at = start;
  while ((at = memmem(at, (size_t)(end - at), marker, marker_len)) != NULL) { events++; at += marker_len; }
  size_t total = (size_t)(end - start), keep = marker_len - 1 < total ? marker_len - 1 : total;
  memcpy(peer->tail, end - keep, keep);
  peer->tail_len = (int)keep;
}

/* The time of every event in this read; one whose digits are cut by the read's end is left out. */
static void note_delays(size_t length) {
  struct timespec clock;
  clock_gettime(CLOCK_REALTIME, &clock);
  long long now = clock.tv_sec * 1000000LL + clock.tv_nsec / 1000;
  char *at = buffer + MAX_MARKER, *end = at + length;
  size_t stamp_len = strlen(stamp);
  while ((at = memmem(at, (size_t)(end - at), stamp, stamp_len)) != NULL) {
    long long sent = 0;
    at += stamp_len;
    while (at < end && *at >= '0' && *at <= '9') sent = sent * 10 + (*at++ - '0');
    if (at == end) return;
    long long step = (now - sent * 1000) / DELAY_STEP_US;
    delays[step < 0 ? 0 : step >= DELAY_STEPS ? DELAY_STEPS - 1 : step]++;
    delay_count++;
  }
}

static long long median_delay(void) {
  unsigned long long seen = 0;
  long long median = -1;
  for (long long step = 0; step < DELAY_STEPS && delay_count > 0; step++) {
    seen += delays[step];
    if (seen * 2 >= delay_count) { median = step * DELAY_STEP_US; break; }
  }
  memset(delays, 0, sizeof delays);
  delay_count = 0;
  return median;
}

/*
 * Answers pings (0x89, payload of at most 8 bytes), as a live WebSocket client must. Byte 0x89 followed by so small a
 * byte occurs nowhere else in what the server sends: text is ASCII JSON, and a length byte is followed by '{'.
 */
static void answer_pings(int fd, size_t length) {
  const unsigned char *data = (unsigned char *)buffer + MAX_MARKER;
  for (size_t at = 0; at + 1 < length; at++) {
    const unsigned char *ping = memchr(data + at, 0x89, length - at - 1);
    if (ping == NULL) return;
    at = (size_t)(ping - data);
    if (ping[1] > 8 || at + 2 + ping[1] > length) continue;
    unsigned char pong[14] = {0x8a, (unsigned char)(0x80 | ping[1])}; /* masked with four zero bytes */
    memcpy(pong + 6, ping + 2, ping[1]);
    send_all(fd, (char *)pong, 6u + ping[1]);
  }
}

static void report(void) {
  struct rusage use;
  getrusage(RUSAGE_SELF, &use);
  long long cpu = (use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1000000LL + use.ru_utime.tv_usec + use.ru_stime.tv_usec;
  printf("{\"open\":%d,\"events\":%llu,\"bytes\":%llu,\"cpu_us\":%lld,\"delay_p50_us\":%lld}\n", open_count, events, bytes,
         cpu, median_delay());
  fflush(stdout);
}

int main(int argc, char **argv) {
  if (argc < 6 || argc > 7) { fprintf(stderr, "usage: fanout-client host port clients requestfile marker [stamp]\n"); return 2; }
  int clients = atoi(argv[3]);
  load(argv[4]);
  websocket = first && strstr(first, "Upgrade: websocket") != NULL;
  marker = argv[5];
  stamp = argv[6]; /* NULL without */
  marker_len = strlen(marker);
  if (marker_len == 0 || marker_len > MAX_MARKER) { fprintf(stderr, "the marker must have 1..63 bytes\n"); return 2; }
  struct rlimit files = {(rlim_t)clients + 64, (rlim_t)clients + 64};
  setrlimit(RLIMIT_NOFILE, &files);
  int loop = epoll_create1(0);
  struct peer *peers = calloc((size_t)clients, sizeof *peers);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[2]))};
  inet_pton(AF_INET, argv[1], &to.sin_addr);
  struct epoll_event input = {.events = EPOLLIN, .data.ptr = NULL};
  epoll_ctl(loop, EPOLL_CTL_ADD, 0, &input);
  int started = 0;
  struct epoll_event ready[512];
  for (;;) {
    /* A few connections at a time, so that the listen backlog of the server under test is never the subject. */
    for (int burst = 0; started < clients && burst < 64; burst++, started++) {
      struct peer *peer = &peers[started];
      peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
      if (peer->fd < 0) { perror("socket"); return 2; }
      int on = 1;
      setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      connect(peer->fd, (struct sockaddr *)&to, sizeof to);
      struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = peer};
      epoll_ctl(loop, EPOLL_CTL_ADD, peer->fd, &event);
    }
    int n = epoll_wait(loop, ready, 512, started < clients ? 1 : -1);
    for (int i = 0; i < n; i++) {
      struct peer *peer = ready[i].data.ptr;
      if (peer == NULL) {
        char line[64];
        ssize_t got = read(0, line, sizeof line - 1);
        if (got <= 0 || memmem(line, (size_t)got, "quit", 4)) { report(); return 0; }
        report();
        continue;
      }
      if (peer->stage == 0 && (ready[i].events & EPOLLOUT)) {
        if (first_len) send_all(peer->fd, first, first_len);
        peer->stage = 1;
        open_count++;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = peer};
        epoll_ctl(loop, EPOLL_CTL_MOD, peer->fd, &event);
      }
      if (!(ready[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))) continue;
      ssize_t got = recv(peer->fd, buffer + MAX_MARKER, READ_SIZE, 0);
      if (got < 0 && errno == EAGAIN) continue;
      if (got <= 0) { epoll_ctl(loop, EPOLL_CTL_DEL, peer->fd, NULL); close(peer->fd); open_count--; continue; }
      bytes += (unsigned long long)got;
      count(peer, (size_t)got);
      if (stamp) note_delays((size_t)got);
      if (websocket && peer->stage == 2) answer_pings(peer->fd, (size_t)got);
      if (peer->stage == 1) {
        if (second_len) send_all(peer->fd, second, second_len);
        peer->stage = 2;
      }
    }
  }
}
