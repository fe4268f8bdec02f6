/*
 * A player that is no GStreamer and tells stbeacon what it plays.
 *
 *     cc -std=c99 -Wall -Wextra -o player player.c
 *     ./player --help
 *
 * Nothing is really played: play() lives through three seconds in the life of a player, and says at each point
 * what a player would say there. All above it is what a player may want to take over as it is. It needs nothing
 * but the C library and Linux.
 *
 * A player must never wait for its statistics. So:
 *   - nothing here blocks: what the daemon does not take at once is dropped;
 *   - all that counts is kept here as totals since the session opened, and told again and again: what was dropped
 *     is in the next totals, and a daemon that was restarted is told the whole session by introduce();
 *   - where no daemon listens nothing is complained about: it is tried again 0.5 s later, then 1 s, … 30 s.
 */

#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_SOCKET "/run/stbeacon/player.sock"
#define SOCKET_VARIABLE "STBEACON_SOCKET"
#define MAX_DATAGRAM 8192
#define COUNTERS_PERIOD 500
#define FIRST_BACKOFF 500
#define LAST_BACKOFF 30000

/* What the time of a session is spent on. Each millisecond belongs to one of these. */
enum phase { STARTUP, PLAYING, PAUSED, REBUFFERING, SEEKING, ADS, PHASES };

static const char *const phase_names[PHASES] = {
    "startup", "playing", "paused", "rebuffering", "seeking", "ads",
};

/* Totals since the session opened. */
struct counts {
    uint64_t video_decoded, video_dropped, audio_decoded, bytes, discontinuities;
};

struct player {
    /* The connection. */
    const char *socket_path;
    int fd;                /* -1 while there is none */
    uint64_t retry_at;     /* ms of CLOCK_BOOTTIME */
    uint64_t backoff;      /* ms */
    int is_behind;         /* something was dropped that no totals hold */
    unsigned long sent;    /* datagrams */
    unsigned long dropped; /* datagrams */

    /* The session: what holds now, … */
    char session[64];
    unsigned sessions;
    const char *url;
    uint64_t opened; /* ms of CLOCK_BOOTTIME */
    int is_open;
    int is_paused;
    int percent; /* of the buffer; below 100 it waits */
    int is_ad_loaded;
    int is_ad_started;
    int is_full_screen;
    uint64_t bitrate;  /* bit/s */
    uint64_t position; /* ms */

    /* … and what it has come to, since it opened. */
    enum phase phase;
    uint64_t settled;       /* time before this is in `spent` */
    uint64_t spent[PHASES]; /* ms */
    int64_t join;           /* from the attempt to the first picture, in ms; -1 until then */
    unsigned rebuffers, pauses, seeks, switches_up, switches_down;
    struct counts counts;
    struct counts told; /* as counters last said */
    uint64_t counted_at; /* when that was */
};

/* Times are told in ms of CLOCK_BOOTTIME: since the box booted, suspend included, never stepped. */
static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* === One message: a JSON object that is one datagram. === */

struct message {
    char text[MAX_DATAGRAM + 1];
    size_t length;
    int is_whole; /* 0 once something did not fit */
};

static void add(struct message *message, const char *format, ...)
{
    size_t room = sizeof message->text - message->length;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(message->text + message->length, room, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= room)
        message->is_whole = 0;
    else
        message->length += (size_t)length;
}

/* A JSON string (RFC 8259, section 7). The text itself has to be UTF-8. */
static void add_string(struct message *message, const char *text)
{
    add(message, "\"");
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c == '"' || *c == '\\')
            add(message, "\\%c", *c);
        else if (*c < 0x20)
            add(message, "\\u%04x", *c);
        else
            add(message, "%c", *c);
    }
    add(message, "\"");
}

static void add_text(struct message *message, const char *key, const char *value)
{
    add(message, ",\"%s\":", key);
    add_string(message, value);
}

static void add_number(struct message *message, const char *key, uint64_t value)
{
    add(message, ",\"%s\":%llu", key, (unsigned long long)value);
}

static void add_flag(struct message *message, const char *key, int value)
{
    add(message, ",\"%s\":%s", key, value ? "true" : "false");
}

/* What every message has. `session` is NULL for the two that belong to no session: hello and visit. */
static void begin_at(struct message *message, uint64_t at, const char *type, const char *session)
{
    message->length = 0;
    message->is_whole = 1;
    add(message, "{\"v\":1");
    add_text(message, "type", type);
    add_number(message, "at", at);
    if (session)
        add_text(message, "session", session);
}

static void begin(struct message *message, const char *type, const char *session)
{
    begin_at(message, now_ms(), type, session);
}

/* === The connection. === */

static void hang_up(struct player *p)
{
    close(p->fd);
    p->fd = -1;
    p->retry_at = now_ms() + p->backoff;
    p->backoff = p->backoff * 2 < LAST_BACKOFF ? p->backoff * 2 : LAST_BACKOFF;
}

/* Sends the message, or drops it; says whether it was sent. */
static int end(struct player *p, struct message *message)
{
    add(message, "}");
    if (p->fd >= 0 && message->is_whole) {
        ssize_t sent;
        do
            sent = send(p->fd, message->text, message->length, MSG_DONTWAIT | MSG_NOSIGNAL);
        while (sent < 0 && errno == EINTR);
        if (sent >= 0) {
            p->sent++;
            p->backoff = FIRST_BACKOFF;
            return 1;
        }
        if (errno != EAGAIN && errno != ENOBUFS)
            hang_up(p); /* the daemon is gone */
    }
    p->dropped++;
    p->is_behind = 1;
    return 0;
}

static void introduce(struct player *p);

/* Connects if there is no connection and it is time to try. */
static void connect_if_due(struct player *p)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (p->fd >= 0 || now_ms() < p->retry_at)
        return;
    if (strlen(p->socket_path) >= sizeof address.sun_path)
        return;
    strcpy(address.sun_path, p->socket_path);
    p->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (p->fd < 0)
        return;
    if (connect(p->fd, (struct sockaddr *)&address, sizeof address) < 0)
        hang_up(p);
    else
        introduce(p);
}

/* === The session. === */

/* Puts the time since the last call where it belongs, and goes on to another phase. */
static void enter(struct player *p, enum phase phase)
{
    uint64_t now = now_ms();
    p->spent[p->phase] += now - p->settled;
    p->settled = now;
    p->phase = phase;
}

/* Begins another session, with totals from zero. A session's id must be unique on the box until it reboots. */
static void begin_session(struct player *p)
{
    p->opened = p->settled = now_ms();
    snprintf(p->session, sizeof p->session, "%ld-%llu-%u", (long)getpid(), (unsigned long long)p->opened,
             ++p->sessions);
    memset(p->spent, 0, sizeof p->spent);
    p->rebuffers = p->pauses = p->seeks = p->switches_up = p->switches_down = 0;
    /* What no daemon has been told yet counts for the new one. */
    p->counts.video_decoded -= p->told.video_decoded;
    p->counts.video_dropped -= p->told.video_dropped;
    p->counts.audio_decoded -= p->told.audio_decoded;
    p->counts.bytes -= p->told.bytes;
    p->counts.discontinuities -= p->told.discontinuities;
    memset(&p->told, 0, sizeof p->told);
    p->counted_at = p->opened;
}

static void tell_asset(struct player *p)
{
    struct message m;
    begin(&m, "asset", p->session);
    add_text(&m, "title", "Evening \"news\" \xe2\x80\x93 late");
    add_text(&m, "asset", "n-2207");
    add_text(&m, "show", "News");
    add_text(&m, "category", "information");
    add_flag(&m, "live", 0);
    end(p, &m);

    begin(&m, "tags", p->session); /* what the stream tells of itself */
    add(&m, ",\"tags\":{\"title\":");
    add_string(&m, "Evening \"news\" \xe2\x80\x93 late");
    add(&m, ",\"video_codec\":\"H.264\",\"audio_codec\":\"AAC\",\"container\":\"MPEG-TS\"}");
    end(p, &m);

    begin(&m, "dimensions", p->session); /* values of the operator's own */
    add(&m, ",\"dimensions\":{\"_cd_1000\":\"lab\",\"_cd_1001\":\"2 rooms\"}");
    end(p, &m);
}

static void tell_delivery(struct player *p)
{
    struct message m;
    begin(&m, "delivery", p->session);
    add_text(&m, "cdn", "ExampleCDN");
    add_text(&m, "server_ip", "192.0.2.7");
    add_text(&m, "connectivity", "ethernet");
    add_number(&m, "connect_time", 38);
    add_flag(&m, "asm", 1); /* it can change to another server */
    end(p, &m);
}

/* What the user asked for. That it waits for data is told by tell_buffering(). */
static void tell_state(struct player *p)
{
    struct message m;
    begin(&m, "state", p->session);
    add_text(&m, "state", p->is_paused ? "paused" : "playing");
    end(p, &m);
}

static void tell_buffering(struct player *p)
{
    struct message m;
    begin(&m, "buffering", p->session);
    add_number(&m, "percent", (uint64_t)p->percent);
    end(p, &m);
}

static void tell_bitrate(struct player *p)
{
    struct message m;
    int is_high = p->bitrate > 3000000;
    begin(&m, "bitrate", p->session);
    add_number(&m, "bitrate", p->bitrate);
    add_number(&m, "width", is_high ? 1920 : 1280);
    add_number(&m, "height", is_high ? 1080 : 720);
    end(p, &m);
}

static void tell_window(struct player *p)
{
    struct message m;
    begin(&m, "window", p->session);
    add_flag(&m, "full_screen", p->is_full_screen);
    add_number(&m, "width", p->is_full_screen ? 1920 : 960);
    add_number(&m, "height", p->is_full_screen ? 1080 : 540);
    end(p, &m);
}

static void tell_ad(struct player *p, const char *phase)
{
    struct message m;
    begin(&m, "ad", p->session);
    add_text(&m, "phase", phase);
    add_text(&m, "id", "spot-9");
    if (strcmp(phase, "load") == 0) {
        add_text(&m, "title", "Soap");
        add_text(&m, "kind", "mid");
        add_text(&m, "server", "ads.example");
        add_number(&m, "duration", 15000);
    }
    if (strcmp(phase, "end") == 0)
        add_text(&m, "status", "skipped");
    end(p, &m);
}

static void tell_counters(struct player *p)
{
    struct message m;
    begin(&m, "counters", p->session);
    add(&m, ",\"video\":{\"decoded\":%llu,\"dropped\":%llu}", (unsigned long long)p->counts.video_decoded,
        (unsigned long long)p->counts.video_dropped);
    add(&m, ",\"audio\":{\"decoded\":%llu}", (unsigned long long)p->counts.audio_decoded);
    add_number(&m, "bytes", p->counts.bytes);
    add_number(&m, "discontinuities", p->counts.discontinuities);
    add_text(&m, "ts", "seen");
    add_number(&m, "position", p->position);
    add_number(&m, "duration", 600000);
    if (end(p, &m))
        p->told = p->counts;
    p->counted_at = now_ms();
}

/* Everything that holds now: what a daemon that has missed something has to be told again. */
static void tell_standing(struct player *p)
{
    p->is_behind = 0;
    if (p->bitrate)
        tell_bitrate(p);
    tell_window(p);
    if (p->is_ad_loaded)
        tell_ad(p, "load");
    if (p->is_ad_started)
        tell_ad(p, "start");
    tell_state(p);
    tell_buffering(p);
    tell_counters(p);
}

/* What the session has come to, for a daemon that does not know it. */
static void tell_totals(struct player *p)
{
    struct message m;
    enter(p, p->phase);
    begin(&m, "resume", p->session);
    add(&m, ",\"totals\":{\"started\":%s", p->spent[PLAYING] ? "true" : "false");
    if (p->join >= 0)
        add_number(&m, "join", (uint64_t)p->join);
    for (int phase = 0; phase < PHASES; phase++)
        add_number(&m, phase_names[phase], p->spent[phase]);
    add_number(&m, "rebuffers", p->rebuffers);
    add_number(&m, "pauses", p->pauses);
    add_number(&m, "seeks", p->seeks);
    add_number(&m, "switches_up", p->switches_up);
    add_number(&m, "switches_down", p->switches_down);
    add_number(&m, "bitrate", p->bitrate);
    add(&m, "}");
    end(p, &m);
}

/* Tells a daemon that knows nothing all there is to know: at the start, and after each reconnect. */
static void introduce(struct player *p)
{
    struct message m;
    begin(&m, "hello", NULL);
    add_number(&m, "pid", (uint64_t)getpid());
    add_text(&m, "player", "example-c");
    end(p, &m);

    begin(&m, "visit", NULL); /* the viewer is in the application */
    add_text(&m, "phase", "start");
    end(p, &m);

    if (!p->is_open)
        return;
    begin_at(&m, p->opened, "open", p->session); /* when it was opened, not now */
    add_text(&m, "url", p->url);
    add_text(&m, "proto", "vod");
    add_text(&m, "id", "233");
    end(p, &m);
    tell_totals(p);
    tell_asset(p);
    tell_delivery(p);
    tell_standing(p);
}

/* Listens to the daemon's one word, "reported": it has closed the session's books and hangs up, since it is about to
 * stop or the box has slept. What is played on is a new session with totals from zero, on a new connection. */
static void listen_to_daemon(struct player *p)
{
    char text[MAX_DATAGRAM + 1], session[80];
    while (p->fd >= 0) {
        ssize_t length = recv(p->fd, text, sizeof text - 1, MSG_DONTWAIT);
        if (length < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (length <= 0) {
            hang_up(p);
            return;
        }
        text[length] = 0;
        /* Enough for one word whose session id is our own. A player with a JSON library at hand uses that. */
        snprintf(session, sizeof session, "\"session\":\"%s\"", p->session);
        if (strstr(text, "\"type\":\"reported\"") && strstr(text, session)) {
            begin_session(p);
            p->join = p->join < 0 ? -1 : 0; /* the wait for the first picture is in the old books */
            hang_up(p);
        }
    }
}

/* === Three seconds in the life of a player. === */

static void wait_until(uint64_t at)
{
    uint64_t now = now_ms();
    if (now < at) {
        struct timespec pause;
        pause.tv_sec = (time_t)((at - now) / 1000);
        pause.tv_nsec = (long)((at - now) % 1000) * 1000000;
        nanosleep(&pause, NULL);
    }
}

/* What happens at one tick of thirty. */
static void happen(struct player *p, int tick)
{
    struct message m;
    switch (tick) {
    case 2: /* enough data: the first picture */
        p->bitrate = 2500000;
        tell_bitrate(p);
        p->percent = 100;
        tell_buffering(p);
        enter(p, PLAYING);
        p->join = (int64_t)(p->settled - p->opened);
        begin(&m, "first_frame", p->session);
        end(p, &m);
        break;
    case 8: /* the network is slow: a rebuffer */
        enter(p, REBUFFERING);
        p->rebuffers++;
        p->percent = 20;
        tell_buffering(p);
        break;
    case 11: /* a packet was lost, and pictures were late */
        p->percent = 100;
        p->counts.discontinuities++;
        p->counts.video_dropped += 3;
        tell_buffering(p);
        enter(p, PLAYING);
        break;
    case 12: /* the player decides to change up … */
        begin(&m, "switching", p->session);
        add_number(&m, "bitrate", 5000000);
        add(&m, ",\"reasons\":[\"bandwidth\"]");
        end(p, &m);
        break;
    case 13: /* … and the new rendition plays */
        p->bitrate = 5000000;
        p->switches_up++;
        tell_bitrate(p);
        p->is_full_screen = 1;
        tell_window(p);
        begin(&m, "measures", p->session);
        add_number(&m, "throughput", 21000000);
        add(&m, ",\"rtt\":31.5,\"encoded_fps\":50");
        end(p, &m);
        break;
    case 15: /* an ad: told before the content is paused for it */
        enter(p, ADS);
        p->is_ad_loaded = 1;
        tell_ad(p, "load");
        p->is_paused = 1;
        tell_state(p);
        break;
    case 16:
        p->is_ad_started = 1;
        tell_ad(p, "start");
        break;
    case 19: /* the viewer skips it, and the content plays again */
        p->is_ad_loaded = p->is_ad_started = 0;
        tell_ad(p, "end");
        p->is_paused = 0;
        tell_state(p);
        enter(p, PLAYING);
        break;
    case 21: /* a seek … */
        enter(p, SEEKING);
        p->seeks++;
        begin(&m, "seek", p->session);
        add_text(&m, "phase", "start");
        add_number(&m, "from", p->position);
        p->position = 300000;
        add_number(&m, "to", p->position);
        end(p, &m);
        break;
    case 23: /* … is over with its first picture */
        begin(&m, "seek", p->session);
        add_text(&m, "phase", "end");
        add_number(&m, "to", p->position);
        end(p, &m);
        enter(p, PLAYING);
        break;
    case 24: /* another server is nearer */
        begin(&m, "server_switch", p->session);
        add_text(&m, "reason", "low_rtt");
        add_text(&m, "from", "cdn-a.example");
        add_text(&m, "to", "cdn-b.example");
        add_text(&m, "ip", "192.0.2.8");
        add_text(&m, "kind", "alternate");
        add_number(&m, "duration", 120);
        add_number(&m, "rtt", 18);
        end(p, &m);
        break;
    case 25: /* the viewer tells friends of it */
        begin(&m, "share", p->session);
        add_text(&m, "key", "fbs");
        end(p, &m);
        break;
    case 26: /* the viewer pauses */
        enter(p, PAUSED);
        p->pauses++;
        p->is_paused = 1;
        tell_state(p);
        break;
    case 28:
        p->is_paused = 0;
        tell_state(p);
        enter(p, PLAYING);
        break;
    }
}

static void play(struct player *p, uint64_t pace)
{
    struct message m;
    begin_session(p);
    p->is_open = 1;
    uint64_t start = p->opened;
    for (int tick = 0; tick < 30; tick++) {
        wait_until(start + (uint64_t)tick * pace);
        connect_if_due(p);
        listen_to_daemon(p);
        happen(p, tick);
        if (p->phase == PLAYING) { /* what one tick of playing comes to */
            p->counts.video_decoded += 5;
            p->counts.audio_decoded += 8;
            p->counts.bytes += p->bitrate * pace / 8000;
            p->position += pace;
        }
        if (p->fd >= 0 && p->is_behind)
            tell_standing(p);
        else if (now_ms() - p->counted_at >= COUNTERS_PERIOD)
            tell_counters(p);
    }
    wait_until(start + 30 * pace);
    connect_if_due(p);
    tell_counters(p); /* once more before the end */
    begin(&m, "close", p->session);
    add_text(&m, "reason", "stop");
    end(p, &m);
    p->is_open = 0;
    begin(&m, "visit", NULL);
    add_text(&m, "phase", "end");
    end(p, &m);
}

static int usage(FILE *to, int status)
{
    fputs("Usage: player [--pace MS] [URL]\n"
          "Tells stbeacon of a play-back of URL that lasts 30 × MS milliseconds [default: 100].\n"
          "The daemon's socket is $" SOCKET_VARIABLE ", or else " DEFAULT_SOCKET ".\n",
          to);
    return status;
}

int main(int argc, char **argv)
{
    struct player p = {.fd = -1, .backoff = FIRST_BACKOFF, .join = -1};
    const char *path = getenv(SOCKET_VARIABLE);
    p.socket_path = path && *path ? path : DEFAULT_SOCKET;
    unsigned long pace = 100;
    p.url = "http://cdn-a.example/film/master.m3u8";
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return usage(stdout, 0);
        if (strcmp(argv[i], "--pace") == 0 && i + 1 < argc) {
            char *rest;
            pace = strtoul(argv[++i], &rest, 10);
            if (*rest || pace < 1 || pace > 60000)
                return usage(stderr, 2);
        } else if (argv[i][0] == '-') {
            return usage(stderr, 2);
        } else {
            p.url = argv[i];
        }
    }
    play(&p, pace);
    printf("%lu datagrams sent, %lu dropped\n", p.sent, p.dropped);
    return 0;
}
