/* Truth: a known echo path, heard in one session and again, or changed, in the next one. */
#include "ae_echo_state.h"

#include "ae_math.h"
#include "ae_test.h"

#include <stdlib.h>
#include <string.h>

enum { k_learn_s = 6, k_try_s = 5, k_rate = 16000, k_delay = 1920, k_room = 7 };

/* One session: a far end, its echo through a random 30 ms path, a quiet room, perhaps a talker. */
typedef struct {
    int rate, frames;
    float *far, *echo, *near, *error;
} session;

typedef struct {
    int rate, delay;
    uint32_t room;
    float level; /* of the echo path; 0: a headset */
    float moved; /* share of the path that is another room's */
    float near_level;
    float skew_ppm; /* > 0: the echo's lag grows */
} scene;

static const scene k_home = {k_rate, k_delay, k_room, 1.0f, 0.0f, 0.0f, 0.0f};

static void fill_talker(int rate, float *signal, int frames, float level, uint32_t seed)
{
    float low = 0.0f;
    const int syllable = rate / 5;
    for (int i = 0; i < frames; i++) {
        low += 0.4f * (ae_random(&seed) - low);
        signal[i] += level * low * sinf(k_ae_pi * (float)(i % syllable) / (float)syllable);
    }
}

static void fill_echo(session *s, scene from)
{
    const int taps = s->rate * 30 / 1000;
    float *path = calloc((size_t)taps, sizeof *path);
    uint32_t seed = from.room, other = from.room + 50;
    for (int j = 0; j < taps; j++)
        path[j] = 0.15f * from.level * expf(-6.0f * (float)j / (float)taps) *
                  (ae_random(&seed) + from.moved * ae_random(&other));
    path[0] = 0.5f * from.level;
    for (int i = 0; i < s->frames; i++) {
        float sum = 0.0f;
        for (int j = 0; j < taps && i - from.delay - j >= 0; j++)
            sum += path[j] * s->far[i - from.delay - j];
        s->echo[i] = sum;
    }
    free(path);
}

/* Read the echo on a capture clock of its own. */
static void skew_echo(session *s, double skew)
{
    float *straight = malloc(sizeof(float) * (size_t)s->frames);
    ae_copy(straight, s->echo, s->frames);
    for (int i = 64; i < s->frames - 64; i++) {
        const double at = i * (1.0 - skew);
        const int whole = (int)at;
        double sum = 0.0;
        for (int j = -15; j <= 16; j++) {
            const double x = 3.14159265358979 * (at - whole - j);
            sum += (fabs(x) < 1e-9 ? 1.0 : sin(x) / x * pow(cos(x / 34.0), 2.0)) *
                   (double)straight[whole + j];
        }
        s->echo[i] = (float)sum;
    }
    free(straight);
}

static session make_session(scene from, int seconds, uint32_t voice)
{
    session s = {.rate = from.rate, .frames = from.rate * seconds};
    float **planes[] = {&s.far, &s.echo, &s.near, &s.error};
    for (int i = 0; i < 4; i++) *planes[i] = calloc((size_t)s.frames, sizeof(float));
    fill_talker(s.rate, s.far, s.frames, 0.8f, voice);
    fill_talker(s.rate, s.near, s.frames, from.near_level, voice + 100);
    uint32_t seed = voice + 7;
    for (int i = 0; i < s.frames; i++) s.near[i] += 1e-3f * ae_random(&seed);
    fill_echo(&s, from);
    if (from.skew_ppm != 0.0f) skew_echo(&s, 1e-6 * (double)from.skew_ppm);
    return s;
}

static void free_session(session *s)
{
    free(s->far);
    free(s->echo);
    free(s->near);
    free(s->error);
}

static void run(ae_echo_filter *filter, session *s)
{
    const int block = ae_block_frames(s->rate);
    float capture[960];
    for (int i = 0; i + block <= s->frames; i += block) {
        for (int j = 0; j < block; j++) capture[j] = s->echo[i + j] + s->near[i + j];
        const uint64_t allocations = ae_allocation_count();
        ae_echo_filter_process(filter, capture, (const float *[]){s->far + i}, s->error + i);
        CHECK(ae_allocation_count() == allocations);
    }
}

/* How far what is left of the echo lies below it, in dB, over a stretch in milliseconds. */
static float left_db(const session *s, int from_ms, int to_ms)
{
    const int from = from_ms * s->rate / 1000, to = to_ms * s->rate / 1000;
    float left = 0.0f;
    for (int i = from; i < to; i++) {
        const float residual = s->error[i] - s->near[i];
        left += residual * residual;
    }
    return ae_db_from_power(ae_energy(s->echo + from, to - from)) - ae_db_from_power(left);
}

static ae_echo_filter *make_filter(int rate, int tail_ms)
{
    ae_echo_filter *filter = NULL;
    ae_echo_filter_config config = ae_echo_filter_default_config(rate);
    config.tail_ms = tail_ms;
    CHECK(ae_echo_filter_create(&filter, &config) == AE_OK);
    return filter;
}

typedef struct {
    uint8_t *bytes;
    size_t count;
} blob;

static blob save(ae_echo_filter *filter)
{
    blob state = {.count = ae_echo_state_bytes(&filter, 1)};
    state.bytes = malloc(state.count);
    CHECK(ae_echo_state_save(&filter, 1, state.bytes) == AE_OK);
    return state;
}

static int load(ae_echo_filter *filter, blob state)
{
    ae_echo_state_info found;
    return ae_echo_state_load(&filter, 1, state.bytes, state.count, &found);
}

/* The state that a session there leaves. */
static blob learn(scene there)
{
    session s = make_session(there, k_learn_s, 1);
    ae_echo_filter *filter = make_filter(there.rate, 240);
    CHECK(!ae_echo_filter_has_learned(filter));
    run(filter, &s);
    CHECK(ae_echo_filter_has_learned(filter));
    const blob state = save(filter);
    ae_echo_filter_destroy(filter);
    free_session(&s);
    return state;
}

/* What a cold and a warm filter leave of a session, over stretches of it. */
enum { k_stretches = 4 };
static const int k_edges_ms[k_stretches + 1] = {0, 500, 1000, 2000, 5000};

typedef struct {
    float cold[k_stretches], warm[k_stretches];
} comparison;

static comparison compare(const char *name, blob state, scene there)
{
    comparison found;
    printf("%-24s", name);
    for (int warm = 0; warm < 2; warm++) {
        session s = make_session(there, k_try_s, 2);
        ae_echo_filter *filter = make_filter(there.rate, 240);
        if (warm) CHECK(load(filter, state) == AE_ECHO_STATE_FITS);
        CHECK(!ae_echo_filter_has_learned(filter));
        run(filter, &s);
        float *db = warm ? found.warm : found.cold;
        printf(" | %s", warm ? "warm" : "cold");
        for (int i = 0; i < k_stretches; i++) {
            db[i] = left_db(&s, k_edges_ms[i], k_edges_ms[i + 1]);
            printf(" %6.1f", (double)db[i]);
        }
        ae_echo_filter_destroy(filter);
        free_session(&s);
    }
    printf(" dB\n");
    return found;
}

/* Same room, same devices: it cancels from the first block on, and beside a talker too. */
static void test_a_warm_start_cancels_at_once(void)
{
    static const int rates[] = {16000, 48000};
    for (int r = 0; r < 2; r++) {
        scene there = k_home;
        there.rate = rates[r];
        there.delay = rates[r] * 120 / 1000;
        const blob state = learn(there);
        const comparison alone = compare("same room", state, there);
        CHECK(alone.warm[0] >= 40.0f && alone.warm[0] >= alone.cold[0] + 20.0f);
        there.near_level = 0.3f;
        const comparison both = compare("same room, near end", state, there);
        for (int i = 0; i < k_stretches; i++) CHECK(both.warm[i] >= both.cold[i] + 5.0f);
        free(state.bytes);
    }
}

/* Two channels that hold one signal, and a talker beside the echo: what is known of the sum is, so
 * that the talker is not learned for what is open, the difference. */
static void test_a_warm_start_of_two_channels(void)
{
    scene there = k_home, right_room = k_home;
    right_room.room = 33;
    right_room.delay += 16;
    blob state = {NULL, 0};
    float left[2][2]; /* first half second, fourth stretch; cold and warm */
    for (int session_of = 0; session_of < 3; session_of++) { /* learn, cold, warm */
        there.near_level = session_of > 0 ? 0.3f : 0.0f;
        session s = make_session(there, k_try_s, session_of > 0 ? 2 : 1);
        session right = make_session(right_room, k_try_s, session_of > 0 ? 2 : 1);
        for (int i = 0; i < s.frames; i++) s.echo[i] += 0.4f * right.echo[i];
        for (int i = 0; i < s.frames; i++) right.far[i] *= 0.4f;
        ae_echo_filter_config config = ae_echo_filter_default_config(k_rate);
        ae_echo_filter *filter = NULL;
        config.far_channels = 2;
        CHECK(ae_echo_filter_create(&filter, &config) == AE_OK);
        if (session_of == 2) CHECK(load(filter, state) == AE_ECHO_STATE_FITS);
        for (int i = 0; i + 160 <= s.frames; i += 160) {
            float capture[160];
            for (int j = 0; j < 160; j++) capture[j] = s.echo[i + j] + s.near[i + j];
            ae_echo_filter_process(filter, capture, (const float *[]){s.far + i, right.far + i},
                                   s.error + i);
        }
        if (session_of == 0) state = save(filter);
        if (session_of > 0) left[session_of - 1][0] = left_db(&s, 0, 500);
        if (session_of > 0) left[session_of - 1][1] = left_db(&s, 2000, 5000);
        ae_echo_filter_destroy(filter);
        free_session(&s);
        free_session(&right);
    }
    printf("two channels, near end: cold %.1f, %.1f, warm %.1f, %.1f dB\n", (double)left[0][0],
           (double)left[0][1], (double)left[1][0], (double)left[1][1]);
    CHECK(left[1][0] >= left[0][0] + 10.0f && left[1][1] >= left[0][1] + 5.0f);
    free(state.bytes);
}

/* A path that is known needs no holding back; one that is not, or not any more, does. */
static void test_what_is_known_is_not_held_back(void)
{
    const blob state = learn(k_home);
    session s = make_session(k_home, 2, 2);
    ae_echo_filter *filter = make_filter(k_rate, 240);
    for (int turn = 0; turn < 3; turn++) { /* cold, warm, cold again */
        int held = 0;
        if (turn == 1) CHECK(load(filter, state) == AE_ECHO_STATE_FITS);
        if (turn == 2) ae_echo_filter_reset(filter);
        for (int i = 0; i + 160 <= s.frames; i += 160) {
            float capture[160];
            for (int j = 0; j < 160; j++) capture[j] = s.echo[i + j] + s.near[i + j];
            ae_echo_filter_process(filter, capture, (const float *[]){s.far + i}, s.error + i);
            held += ae_echo_filter_view(filter)->unheard;
        }
        CHECK(turn == 1 ? held == 0 : held > 0);
    }
    ae_echo_filter_destroy(filter);
    free_session(&s);
    free(state.bytes);
}

/* The devices' buffers have another delay this time: the whole path is brought there as soon as the
 * finder knows. */
static void test_another_delay_costs_half_a_second(void)
{
    static const int moves[] = {-1500, -600, -8, 1, 8, 100, 480, 1600, 9000};
    const blob state = learn(k_home);
    for (int i = 0; i < 9; i++) {
        char name[40];
        snprintf(name, sizeof name, "delay %+d", moves[i]);
        scene there = k_home;
        there.delay += moves[i];
        const comparison found = compare(name, state, there);
        const int first = moves[i] < 8000 ? 1 : 2; /* the echo itself comes so late */
        for (int j = first; j < k_stretches; j++) CHECK(found.warm[j] >= 40.0f);
        CHECK(found.warm[first] >= found.cold[first] + 7.0f);
        if (first == 1) CHECK(found.warm[0] >= 0.0f);
    }
    free(state.bytes);
}

/* Clocks 150 ppm apart are so again tomorrow; clocks that now agree are found out. */
static void test_the_skew_is_kept(void)
{
    scene there = k_home;
    there.skew_ppm = 150.0f;
    const blob state = learn(there);
    ae_echo_filter *filter = make_filter(k_rate, 240);
    CHECK(load(filter, state) == AE_ECHO_STATE_FITS);
    ae_echo_filter_report report;
    ae_echo_filter_read(filter, &report);
    CHECK_NEAR(report.drift_ppm, 150.0, 15.0);
    ae_echo_filter_destroy(filter);
    const comparison same = compare("150 ppm again", state, there);
    /* six seconds have moved the delay by 10 frames: that is found first */
    CHECK(same.warm[0] >= 10.0f && same.warm[1] >= 10.0f);
    CHECK(same.warm[2] >= same.cold[2] + 6.0f); /* later both stand where the skew is known to */
    CHECK(same.warm[3] >= same.cold[3] - 3.0f);
    /* a wrong skew costs seconds, as long as it stands and until the path is where it was */
    const comparison none = compare("150 ppm no more", state, k_home);
    for (int i = 0; i < k_stretches; i++) CHECK(none.warm[i] >= 5.0f);
    CHECK(none.warm[3] >= 12.0f);
    free(state.bytes);
}

/* Furniture was moved: what is still right helps. In another room it is of no use, but costs
 * little: it never adds to the echo, and half a second later it is as if it had never been. */
static void test_another_room_is_learned_as_by_a_new_filter(void)
{
    const blob state = learn(k_home);
    scene there = k_home;
    there.moved = 0.3f;
    const comparison moved = compare("moved a little", state, there);
    CHECK(moved.warm[0] >= moved.cold[0]);
    there = k_home;
    there.room = 8;
    const comparison other = compare("other room", state, there);
    CHECK(other.warm[0] >= other.cold[0] - 3.0f);
    for (int i = 1; i < k_stretches; i++) CHECK(other.warm[i] >= other.cold[i] - 1.0f);
    there.near_level = 0.3f;
    const comparison talk = compare("other room, near end", state, there);
    for (int i = 0; i < k_stretches; i++) CHECK(talk.warm[i] >= talk.cold[i] - 1.0f);
    static const int moves[] = {480, 4800, -1500};
    for (int i = 0; i < 3; i++) {
        there = k_home;
        there.room = 9;
        there.delay += moves[i];
        const comparison both = compare("other room and delay", state, there);
        CHECK(both.warm[0] >= 0.0f);
        CHECK(both.warm[1] >= fminf(both.cold[1] - 3.0f, 25.0f));
        for (int j = 2; j < k_stretches; j++) CHECK(both.warm[j] >= both.cold[j] - 2.0f);
    }
    free(state.bytes);
}

/* A headset this time: nobody's voice is taken for echo. */
static void test_a_headset_after_a_loudspeaker(void)
{
    const blob state = learn(k_home);
    scene there = k_home;
    there.level = 0.0f;
    there.near_level = 0.3f;
    float wrong[2];
    for (int warm = 0; warm < 2; warm++) {
        session s = make_session(there, k_try_s, 2);
        ae_echo_filter *filter = make_filter(there.rate, 240);
        if (warm) CHECK(load(filter, state) == AE_ECHO_STATE_FITS);
        run(filter, &s);
        wrong[warm] = 0.0f;
        for (int i = 0; i < s.frames; i++)
            wrong[warm] += (s.error[i] - s.near[i]) * (s.error[i] - s.near[i]);
        wrong[warm] = ae_db_from_power(wrong[warm] / ae_energy(s.near, s.frames));
        CHECK(ae_echo_filter_view(filter)->trust == 0.0f);
        ae_echo_filter_report report;
        ae_echo_filter_read(filter, &report);
        CHECK(report.no_echo_path == 1);
        ae_echo_filter_destroy(filter);
        free_session(&s);
    }
    printf("headset: near end changed by %.1f dB cold, %.1f dB warm\n", (double)wrong[0],
           (double)wrong[1]);
    CHECK(wrong[1] <= fmaxf(wrong[0] + 3.0f, -10.0f));
    free(state.bytes);
}

/* ---- what is refused ---- */

/* CRC-32 as in every zip file, to forge states that are whole but wrong. */
static void seal(blob state)
{
    uint32_t crc = 0xFFFFFFFFu;
    for (size_t i = 20; i < state.count; i++)
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (((crc ^ (uint32_t)state.bytes[i] >> bit) & 1u) ? 0xEDB88320u : 0u);
    crc = ~crc;
    for (int i = 0; i < 4; i++) state.bytes[16 + i] = (uint8_t)(crc >> (8 * i));
}

static blob copy_of(blob state)
{
    const blob copy = {malloc(state.count), state.count};
    memcpy(copy.bytes, state.bytes, state.count);
    return copy;
}

static void put_float(blob state, size_t at, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, 4);
    for (int i = 0; i < 4; i++) state.bytes[at + (size_t)i] = (uint8_t)(bits >> (8 * i));
}

static void put_double(blob state, size_t at, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, 8);
    for (int i = 0; i < 8; i++) state.bytes[at + (size_t)i] = (uint8_t)(bits >> (8 * i));
}

/* Refused by this filter; frees the state. */
static void refuse(ae_echo_filter *filter, blob state, int verdict)
{
    CHECK(load(filter, state) == verdict);
    free(state.bytes);
}

enum { k_place_at = 68, k_path_at = k_place_at + 24 };

static void refuse_all(ae_echo_filter *filter, blob good)
{
    static const struct {
        size_t at;
        int verdict;
    } bytes[] = {{0, AE_ECHO_STATE_FOREIGN},          {7, AE_ECHO_STATE_FOREIGN},
                 {8, AE_ECHO_STATE_VERSION},          {11, AE_ECHO_STATE_VERSION},
                 {12, AE_ECHO_STATE_DAMAGED},         {15, AE_ECHO_STATE_DAMAGED},
                 {16, AE_ECHO_STATE_DAMAGED},         {19, AE_ECHO_STATE_DAMAGED},
                 {20, AE_ECHO_STATE_DAMAGED},         {64, AE_ECHO_STATE_DAMAGED},
                 {k_place_at, AE_ECHO_STATE_DAMAGED}, {k_path_at, AE_ECHO_STATE_DAMAGED}};
    for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++) {
        blob bad = copy_of(good);
        bad.bytes[bytes[i].at] ^= 0x10;
        refuse(filter, bad, bytes[i].verdict);
    }
    for (size_t at = k_path_at + 1; at < good.count; at += 997) {
        blob bad = copy_of(good);
        bad.bytes[at] ^= 1;
        refuse(filter, bad, AE_ECHO_STATE_DAMAGED);
    }
    static const size_t lengths[] = {0, 1, 7, 8, 19, 20, 67, 68, 92, 1000};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        blob bad = copy_of(good);
        bad.count = lengths[i];
        refuse(filter, bad, lengths[i] == 0 ? AE_ECHO_STATE_FOREIGN : AE_ECHO_STATE_DAMAGED);
    }
    for (int field = 0; field < 12; field++) { /* whole, but of another shape */
        blob bad = copy_of(good);
        bad.bytes[20 + 4 * field] ^= 1;
        seal(bad);
        refuse(filter, bad, AE_ECHO_STATE_SHAPE);
    }
    static const double places[] = {-1.0, 1e6, NAN, INFINITY};
    for (int i = 0; i < 4; i++)
        for (size_t field = 0; field < 3; field++) {
            if (field == 1 && i == 0) continue; /* a lag of -1: never found */
            blob bad = copy_of(good);
            put_double(bad, k_place_at + 8 * field, places[i]);
            seal(bad);
            refuse(filter, bad, AE_ECHO_STATE_UNSOUND);
        }
    static const float values[] = {NAN, INFINITY, -INFINITY, 1e4f, 3e38f};
    const size_t covariance_at = k_path_at + 2 * 4 * 161; /* 161 bins at 16 kHz */
    for (int i = 0; i < 5; i++)
        for (int plane = 0; plane < 3; plane++) {
            blob bad = copy_of(good);
            const float value = plane < 2 ? values[i] : 1e9f * values[i];
            put_float(bad, plane < 2 ? k_path_at + 4 * (size_t)(161 * plane + 5) : covariance_at,
                      value);
            seal(bad);
            refuse(filter, bad, AE_ECHO_STATE_UNSOUND);
        }
    blob loud = copy_of(good); /* each bin within reason, all of them together not */
    for (size_t k = 0; k < 161; k++) put_float(loud, k_path_at + 4 * k, 100.0f);
    seal(loud);
    refuse(filter, loud, AE_ECHO_STATE_UNSOUND);
    blob negative = copy_of(good);
    put_float(negative, covariance_at, -1e-3f);
    seal(negative);
    refuse(filter, negative, AE_ECHO_STATE_UNSOUND);
    uint32_t seed = 5;
    blob noise = copy_of(good);
    for (size_t i = 0; i < noise.count; i++)
        noise.bytes[i] = (uint8_t)(127.0f + 127.0f * ae_random(&seed));
    refuse(filter, noise, AE_ECHO_STATE_FOREIGN);
}

/* A refused state costs nothing: not a bit of the output differs. */
static void test_bad_states_are_refused_and_cost_nothing(void)
{
    const blob good = learn(k_home);
    session tried = make_session(k_home, 3, 2), spared = make_session(k_home, 3, 2);
    ae_echo_filter *filter = make_filter(k_rate, 240), *other = make_filter(k_rate, 240);
    ae_echo_filter *longer = make_filter(k_rate, 250), *faster = make_filter(48000, 240);
    for (int round = 0; round < 2; round++) { /* a new filter, and one that has learned */
        refuse_all(filter, good);
        run(filter, &tried);
        run(other, &spared);
        CHECK(memcmp(tried.error, spared.error, sizeof(float) * (size_t)tried.frames) == 0);
    }
    refuse(longer, copy_of(good), AE_ECHO_STATE_SHAPE);
    refuse(faster, copy_of(good), AE_ECHO_STATE_SHAPE);
    ae_echo_filter_destroy(filter);
    ae_echo_filter_destroy(other);
    ae_echo_filter_destroy(longer);
    ae_echo_filter_destroy(faster);
    free_session(&tried);
    free_session(&spared);
    free(good.bytes);
}

/* ---- what is kept ---- */

static void test_channels_share_one_state_which_says_what_it_is(void)
{
    session s = make_session(k_home, 2, 1);
    ae_echo_filter *pair[2] = {make_filter(k_rate, 240), make_filter(k_rate, 240)};
    run(pair[0], &s); /* the second one has learned nothing */
    CHECK(ae_echo_state_has_learned(pair, 2) && !ae_echo_state_has_learned(pair + 1, 1));
    const size_t bytes = ae_echo_state_bytes(pair, 2);
    blob state = {malloc(bytes), bytes}, again = {malloc(bytes), bytes};
    CHECK(ae_echo_state_save(pair, 2, state.bytes) == AE_OK);
    ae_echo_filter *fresh[2] = {make_filter(k_rate, 240), make_filter(k_rate, 240)};
    ae_echo_state_info found, own;
    CHECK(ae_echo_state_load(fresh, 1, state.bytes, bytes, &found) == AE_ECHO_STATE_SHAPE);
    CHECK(found.channels == 2 && found.sample_rate_hz == k_rate && found.tail_ms == 240);
    CHECK(found.version == AE_ECHO_STATE_LAYOUT && found.max_delay_ms == 1000);
    ae_echo_state_describe(fresh, 2, &own);
    CHECK(memcmp(&own, &found, sizeof own) == 0);
    state.bytes[bytes - 1] ^= 0x40; /* the sign or exponent of the second channel's last value */
    seal(state);
    CHECK(ae_echo_state_load(fresh, 2, state.bytes, bytes, &found) != AE_ECHO_STATE_DAMAGED);
    state.bytes[bytes - 1] ^= 0x40;
    seal(state);
    CHECK(ae_echo_state_load(fresh, 2, state.bytes, bytes, &found) == AE_ECHO_STATE_FITS);
    CHECK(!ae_echo_state_has_learned(fresh, 2));
    CHECK(ae_echo_state_save(fresh, 2, again.bytes) == AE_OK);
    /* doubt raises covariances; paths and places come back to the bit */
    CHECK(memcmp(state.bytes + k_place_at, again.bytes + k_place_at, 24 + 8 * 161) == 0);
    free(again.bytes);
    free(state.bytes);
    for (int i = 0; i < 2; i++) {
        ae_echo_filter_destroy(pair[i]);
        ae_echo_filter_destroy(fresh[i]);
    }
    free_session(&s);
}

/* A filter that has learned elsewhere goes on as a new one would that loads the same state; reset
 * forgets it. */
static void test_load_and_reset_leave_no_past(void)
{
    const blob state = learn(k_home);
    session first = make_session(k_home, 2, 2), second = make_session(k_home, 2, 2);
    ae_echo_filter *used = make_filter(k_rate, 240), *fresh = make_filter(k_rate, 240);
    scene elsewhere = k_home;
    elsewhere.room = 21;
    elsewhere.delay = 4000;
    session past = make_session(elsewhere, 3, 5);
    run(used, &past);
    CHECK(load(used, state) == AE_ECHO_STATE_FITS);
    CHECK(load(fresh, state) == AE_ECHO_STATE_FITS);
    run(used, &first);
    run(fresh, &second);
    CHECK(memcmp(first.error, second.error, sizeof(float) * (size_t)first.frames) == 0);
    ae_echo_filter *cold = make_filter(k_rate, 240);
    ae_echo_filter_reset(used);
    run(used, &first);
    run(cold, &second);
    CHECK(memcmp(first.error, second.error, sizeof(float) * (size_t)first.frames) == 0);
    ae_echo_filter_destroy(used);
    ae_echo_filter_destroy(fresh);
    ae_echo_filter_destroy(cold);
    free_session(&past);
    free_session(&first);
    free_session(&second);
    free(state.bytes);
}

int main(void)
{
    test_a_warm_start_cancels_at_once();
    test_a_warm_start_of_two_channels();
    test_what_is_known_is_not_held_back();
    test_another_delay_costs_half_a_second();
    test_the_skew_is_kept();
    test_another_room_is_learned_as_by_a_new_filter();
    test_a_headset_after_a_loudspeaker();
    test_bad_states_are_refused_and_cost_nothing();
    test_channels_share_one_state_which_says_what_it_is();
    test_load_and_reset_leave_no_past();
    return AE_TEST_RESULT();
}
