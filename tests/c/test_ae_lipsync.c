/* Truths: a voice and a mouth made from one continuous movement, the voice late by a known time; a
 * change of that time in the middle; signals that have nothing to do with each other. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ae_lipsync.h"
#include "ae_malloc_hook.h"
#include "ae_math.h"
#include "ae_test.h"

static const double k_two_pi = 6.283185307179586;

enum { k_rate = 16000, k_max_s = 64, k_pictures = 25 };

typedef struct {
    float *sound; /* k_rate * seconds */
    double *time_s;
    float *mouth;
    int samples, pictures;
} scene;

/* Syllables: sines of 0.7 to 5.2 Hz that never repeat. */
static double movement(double t, double kind)
{
    double sum = 0.0, hz = 0.7;
    for (int i = 0; i < 12; i++, hz *= 1.2) sum += sin(k_two_pi * hz * t + kind * i * i);
    return sum / 3.5;
}

/* offset_ms before step_s and step_ms more after it. The voice is noise as loud as the mouth is
 * open. */
static scene make_scene(double seconds, double offset_ms, double step_s, double step_ms)
{
    scene s = {.samples = (int)(seconds * k_rate), .pictures = (int)(seconds * k_pictures)};
    s.sound = malloc((size_t)s.samples * sizeof(float));
    s.time_s = malloc((size_t)s.pictures * sizeof(double));
    s.mouth = malloc((size_t)s.pictures * sizeof(float));
    uint32_t seed = 21;
    for (int n = 0; n < s.samples; n += 16) {
        const double t = (double)n / k_rate;
        const double late_s = 0.001 * (t < step_s ? offset_ms : offset_ms + step_ms);
        const float size = 0.03f * expf(1.5f * (float)movement(t - late_s, 2.4));
        for (int i = 0; i < 16 && n + i < s.samples; i++) s.sound[n + i] = size * ae_random(&seed);
    }
    for (int p = 0; p < s.pictures; p++) {
        s.time_s[p] = ((double)p + 0.2 * (double)ae_random(&seed) + 0.3) / k_pictures;
        s.mouth[p] = 0.2f + 0.05f * (float)movement(s.time_s[p], 2.4);
    }
    return s;
}

static void free_scene(scene *s)
{
    free(s->sound);
    free(s->time_s);
    free(s->mouth);
}

static ae_lipsync *make_with(const ae_lip_model *model)
{
    ae_lipsync_config config = ae_lipsync_default_config(k_rate);
    config.model = model;
    ae_lipsync *self = NULL;
    CHECK(ae_lipsync_create(&self, &config) == AE_OK);
    return self;
}

static ae_lipsync *make(void) { return make_with(ae_lip_model_trained(1)); }

static void push_all(ae_lipsync *self, const scene *s)
{
    ae_lipsync_push_audio(self, s->sound, s->samples, 0.0);
    ae_lipsync_push_mouth(self, s->time_s, s->mouth, s->pictures);
}

static ae_lipsync_report read(ae_lipsync *self)
{
    ae_lipsync_report report;
    memset(&report, 0, sizeof report);
    ae_lipsync_read(self, &report);
    return report;
}

static ae_lipsync_report measure(const ae_lip_model *model, double offset_ms)
{
    scene s = make_scene(12.0, offset_ms, 100.0, 0.0);
    ae_lipsync *self = make_with(model);
    push_all(self, &s);
    const ae_lipsync_report report = read(self);
    ae_lipsync_destroy(self);
    free_scene(&s);
    return report;
}

/* By hand, rising sound goes with opening lips. The trained weights read noise as they may, but
 * alike at every offset. */
static void test_known_offsets(void)
{
    static const double offsets_ms[] = {-903.0, -120.0, 0.0, 41.0, 1007.0};
    const double zero_ms = measure(ae_lip_model_trained(1), 0.0).offset_ms;
    for (int i = 0; i < 5; i++) {
        const ae_lipsync_report hand = measure(ae_lip_model_untrained(1), offsets_ms[i]);
        CHECK_NEAR(hand.offset_ms, offsets_ms[i], 6.0);
        const ae_lipsync_report trained = measure(ae_lip_model_trained(1), offsets_ms[i]);
        CHECK_NEAR(trained.offset_ms - zero_ms, offsets_ms[i], 5.0);
        CHECK(trained.span_s > 11.8 && trained.time_s > 11.8);
        CHECK(trained.cues[AE_LIP_CUE_LEVEL] > 0.1 && trained.non_finite == 0);
    }
}

/* Random pieces of both, one up to 30 s ahead of the other. */
/* What is further off than the lags reach is no answer, however well it fits at their end. */
static void test_out_of_the_lags(void)
{
    static const double offsets_ms[] = {-1350.0, -1320.0, 1310.0, 1340.0, 1370.0, 1500.0};
    for (int i = 0; i < 6; i++) {
        const ae_lipsync_report report = measure(ae_lip_model_untrained(1), offsets_ms[i]);
        CHECK(report.confidence < 0.5);
        CHECK(report.reason == AE_LIP_AMBIGUOUS || report.reason == AE_LIP_DUBBED);
    }
    CHECK(measure(ae_lip_model_untrained(1), 1250.0).confidence >= 0.5);
}

static void push_in_pieces(ae_lipsync *self, const scene *s, uint32_t seed, int largest)
{
    int heard = 0, seen = 0;
    while (heard < s->samples || seen < s->pictures) {
        const int ahead = heard / k_rate - seen / k_pictures;
        const int turn = (int)(100.0f * ae_random(&seed));
        const int listen = seen == s->pictures || (heard < s->samples && ahead < 30 && turn > 0);
        if (listen || ahead < -30) {
            int count = 1 + (int)(0.5f * (1.0f + ae_random(&seed)) * (float)largest);
            if (count > s->samples - heard) count = s->samples - heard;
            ae_lipsync_push_audio(self, s->sound + heard, count, NAN);
            heard += count;
        } else {
            int count = 1 + (int)(0.5f * (1.0f + ae_random(&seed)) * (float)largest / 640.0f);
            if (count > s->pictures - seen) count = s->pictures - seen;
            ae_lipsync_push_mouth(self, s->time_s + seen, s->mouth + seen, count);
            seen += count;
        }
    }
}

static void test_any_pieces_same_estimate(void)
{
    static const int largest[] = {700, 9000, 300000};
    scene s = make_scene(47.3, 60.0, 24.0, 180.0);
    ae_lipsync *whole = make();
    push_all(whole, &s);
    const ae_lipsync_report report = read(whole);
    CHECK(report.steps == 1 && isfinite(report.offset_ms));
    for (int i = 0; i < 3; i++) {
        ae_lipsync *parts = make();
        push_in_pieces(parts, &s, 5 + (uint32_t)i, largest[i]);
        const ae_lipsync_report again = read(parts);
        CHECK(memcmp(&report, &again, sizeof report) == 0);
        ae_lipsync_reset(parts); /* and a reset object is a new one */
        CHECK(isnan(read(parts).offset_ms) && read(parts).steps == 0);
        push_in_pieces(parts, &s, 50 + (uint32_t)i, largest[i]);
        const ae_lipsync_report anew = read(parts);
        CHECK(memcmp(&report, &anew, sizeof report) == 0);
        ae_lipsync_destroy(parts);
    }
    ae_lipsync_destroy(whole);
    free_scene(&s);
}

/* Reading in between changes nothing, and the offset after a step is the new one. */
static void test_a_step_is_followed(void)
{
    scene s = make_scene(60.0, 0.0, 30.0, 200.0);
    const double zero_ms = measure(ae_lip_model_trained(1), 0.0).offset_ms;
    ae_lipsync *self = make();
    int found_s = 0;
    for (int t = 0; t < 60; t++) {
        ae_lipsync_push_audio(self, s.sound + t * k_rate, k_rate, (double)t);
        ae_lipsync_push_mouth(self, s.time_s + t * k_pictures, s.mouth + t * k_pictures,
                              k_pictures);
        const ae_lipsync_report report = read(self);
        if (t >= 8 && t < 30) CHECK_NEAR(report.offset_ms, zero_ms, 10.0);
        if (t == 29) CHECK_NEAR(report.drift_ms_per_s, 0.0, 0.5);
        if (report.steps == 1 && found_s == 0) found_s = t;
        if (found_s > 0) CHECK_NEAR(report.offset_ms, zero_ms + 200.0, 25.0);
        CHECK(report.steps <= 1);
    }
    CHECK(found_s > 31 && found_s <= 42);
    CHECK_NEAR(read(self).offset_ms, zero_ms + 200.0, 5.0);
    ae_lipsync_destroy(self);
    free_scene(&s);
}

/* The same stream on another clock, with stamps that jitter by 3 ms. */
static void test_time_stamps(void)
{
    scene s = make_scene(20.0, 130.0, 100.0, 0.0);
    ae_lipsync *plain = make(), *stamped = make();
    push_all(plain, &s);
    uint32_t seed = 9;
    for (int p = 0; p < s.pictures; p++) s.time_s[p] += 1000.0;
    for (int at = 0; at < s.samples; at += 320) {
        const double jitter_s = 0.003 * (double)ae_random(&seed);
        ae_lipsync_push_audio(stamped, s.sound + at, 320,
                              1000.0 + (double)at / k_rate + (at > 0 ? jitter_s : 0.0));
    }
    ae_lipsync_push_mouth(stamped, s.time_s, s.mouth, s.pictures);
    CHECK_NEAR(read(stamped).offset_ms, read(plain).offset_ms, 1.0);
    CHECK_NEAR(read(stamped).time_s, read(plain).time_s + 1000.0, 0.02);
    ae_lipsync_destroy(plain);
    ae_lipsync_destroy(stamped);
    free_scene(&s);
}

/* 2 s of sound are lost, and the stamps say so: what follows is still where it belongs. */
static void test_a_hole_in_the_sound(void)
{
    scene s = make_scene(16.0, 90.0, 100.0, 0.0);
    ae_lipsync *whole = make(), *holed = make();
    push_all(whole, &s);
    ae_lipsync_push_audio(holed, s.sound, 6 * k_rate, 0.0);
    ae_lipsync_push_audio(holed, s.sound + 8 * k_rate, 8 * k_rate, 8.0);
    ae_lipsync_push_mouth(holed, s.time_s, s.mouth, s.pictures);
    CHECK_NEAR(read(holed).offset_ms, read(whole).offset_ms, 5.0);
    CHECK(read(holed).span_s == read(whole).span_s);
    ae_lipsync_push_audio(holed, s.sound, k_rate, 3.0); /* back: a new stream */
    CHECK(isnan(read(holed).offset_ms) && read(holed).reason == AE_LIP_TOO_SHORT);
    ae_lipsync_destroy(whole);
    ae_lipsync_destroy(holed);
    free_scene(&s);
}

static int reason_of(scene *s, double seconds)
{
    ae_lipsync *self = make();
    ae_lipsync_push_audio(self, s->sound, (int)(seconds * k_rate), 0.0);
    ae_lipsync_push_mouth(self, s->time_s, s->mouth, (int)(seconds * k_pictures));
    const ae_lipsync_report report = read(self);
    CHECK(report.confidence >= 0.0 && report.confidence < 0.5);
    ae_lipsync_destroy(self);
    return report.reason;
}

static void test_reasons(void)
{
    scene s = make_scene(12.0, 0.0, 100.0, 0.0);
    ae_lipsync *self = make();
    CHECK(read(self).reason == AE_LIP_TOO_SHORT && isnan(read(self).offset_ms));
    CHECK(isnan(read(self).time_s) && isnan(read(self).drift_ms_per_s));
    ae_lipsync_destroy(self);
    CHECK(reason_of(&s, 1.0) == AE_LIP_TOO_SHORT);
    CHECK(reason_of(&s, 2.5) == AE_LIP_TOO_SHORT);
    scene still = make_scene(12.0, 0.0, 100.0, 0.0);
    for (int p = 0; p < still.pictures; p++) still.mouth[p] = 0.2f;
    CHECK(reason_of(&still, 12.0) == AE_LIP_FROZEN);
    for (int p = 100; p < still.pictures; p++) still.mouth[p] = NAN;
    CHECK(reason_of(&still, 12.0) == AE_LIP_NO_FACE);
    for (int n = 0; n < s.samples; n++) s.sound[n] *= 1e-3f;
    CHECK(reason_of(&s, 12.0) == AE_LIP_NO_SPEECH);
    scene other = make_scene(12.0, 0.0, 100.0, 0.0);
    for (int p = 0; p < other.pictures; p++) /* another mouth */
        other.mouth[p] = 0.2f + 0.05f * (float)movement(1.37 * other.time_s[p] + 40.0, 1.1);
    const int reason = reason_of(&other, 12.0);
    CHECK(reason == AE_LIP_DUBBED || reason == AE_LIP_AMBIGUOUS);
    free_scene(&s);
    free_scene(&still);
    free_scene(&other);
}

static void test_bad_weather(void)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY, 3e38f, 1e-40f, 1.0f, 0.0f};
    scene s = make_scene(14.0, -80.0, 100.0, 0.0);
    ae_lipsync *clean = make();
    push_all(clean, &s);
    const double expected_ms = read(clean).offset_ms;
    for (int b = 0; b < 7; b++) {
        scene hurt = make_scene(14.0, -80.0, 100.0, 0.0);
        for (int n = 5 * k_rate; n < 5 * k_rate + k_rate / 2; n++) hurt.sound[n] = bad[b];
        ae_lipsync *self = make();
        push_all(self, &hurt);
        const ae_lipsync_report report = read(self);
        CHECK_NEAR(report.offset_ms, expected_ms, 12.0);
        CHECK(report.non_finite == (b < 4 ? k_rate / 2 : 0));
        CHECK(report.confidence >= 0.0 && report.confidence <= 1.0);
        double lags_ms[261], scores[261];
        CHECK(ae_lipsync_curve(self, lags_ms, scores, 261) == 261);
        for (int i = 0; i < 261; i++) CHECK(isfinite(scores[i]) && fabs(scores[i]) <= 8.0);
        CHECK(lags_ms[260] - lags_ms[0] == 2600.0);
        ae_lipsync_destroy(self);
        free_scene(&hurt);
    }
    ae_lipsync_destroy(clean);
    free_scene(&s);
}

/* One stream far ahead of what is kept; pictures faster than what is kept; no crash, no answer from
 * what is gone. */
static void test_streams_out_of_reach(void)
{
    scene s = make_scene(60.0, 0.0, 100.0, 0.0);
    ae_lipsync *self = make();
    for (int i = 0; i < 5; i++) ae_lipsync_push_audio(self, s.sound, s.samples, NAN);
    ae_lipsync_push_mouth(self, s.time_s, s.mouth, s.pictures);
    CHECK(read(self).reason == AE_LIP_TOO_SHORT && isnan(read(self).offset_ms));
    ae_lipsync_reset(self);
    for (int i = 0; i < 40000; i++) {
        const double t = 0.001 * i;
        const float value = 0.2f + 0.05f * (float)movement(t, 2.4);
        ae_lipsync_push_mouth(self, &t, &value, 1);
    }
    ae_lipsync_push_audio(self, s.sound, 40 * k_rate, 0.0);
    CHECK(isfinite(read(self).offset_ms)); /* the last 16 s of pictures are there */
    ae_lipsync_destroy(self);
    free_scene(&s);
}

static void test_no_allocation(void)
{
    scene s = make_scene(40.0, 0.0, 20.0, 300.0);
    ae_lipsync *self = make();
    double lags_ms[261], scores[261];
    const uint64_t allocations = ae_allocation_count();
    const long asked = library_allocations;
    for (int t = 0; t < 40; t++) {
        ae_lipsync_push_audio(self, s.sound + t * k_rate, k_rate, NAN);
        ae_lipsync_push_mouth(self, s.time_s + t * k_pictures, s.mouth + t * k_pictures,
                              k_pictures);
        if (t == 25) ae_lipsync_cut(self);
        read(self);
        ae_lipsync_curve(self, lags_ms, scores, 261);
    }
    ae_lipsync_reset(self);
    CHECK(ae_allocation_count() == allocations && library_allocations == asked);
    ae_lipsync_destroy(self);
    free_scene(&s);
}

/* Denormals are flushed inside and the caller's floating-point mode is left alone. */
static void test_floating_point_mode(void)
{
    volatile float tiny = 1e-38f;
    scene s = make_scene(4.0, 0.0, 100.0, 0.0);
    ae_lipsync *self = make();
    push_all(self, &s);
    read(self);
    CHECK(tiny * 0.1f > 0.0f);
    ae_lipsync_destroy(self);
    free_scene(&s);
}

static void test_create(void)
{
    ae_lipsync_config bad[8];
    ae_lip_model broken = *ae_lip_model_trained(1);
    broken.mouth = NULL;
    for (int i = 0; i < 8; i++) bad[i] = ae_lipsync_default_config(k_rate);
    bad[0].sample_rate_hz = 7999;
    bad[1].window_s = 4.9f;
    bad[2].window_s = 61.0f;
    bad[3].max_lag_ms = 290.0f;
    bad[4].max_lag_ms = 2600.0f;
    bad[5].model = NULL;
    bad[6].model = &broken;
    bad[7].window_s = NAN;
    for (int i = 0; i < 8; i++) {
        ae_lipsync *self = NULL;
        CHECK(ae_lipsync_create(&self, &bad[i]) == AE_ERROR_ARGUMENT && self == NULL);
    }
    ae_lipsync_destroy(NULL);
}

int main(void)
{
    test_known_offsets();
    test_out_of_the_lags();
    test_any_pieces_same_estimate();
    test_a_step_is_followed();
    test_time_stamps();
    test_a_hole_in_the_sound();
    test_reasons();
    test_bad_weather();
    test_streams_out_of_reach();
    test_no_allocation();
    test_floating_point_mode();
    test_create();
    return AE_TEST_RESULT();
}
