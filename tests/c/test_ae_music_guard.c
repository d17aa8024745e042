/* Truths: chords of sines are music; noise, a gliding voice, and sines that only go on are not. */
#include "ae_music_guard.h"

#include "ae_math.h"
#include "ae_stft.h"
#include "ae_test.h"

enum { k_rate = 16000, k_hop = 160, k_window = 512, k_bins = 257 };

static const double k_two_pi = 6.283185307179586;

typedef struct {
    ae_music_guard *guard;
    ae_stft *stft;
    float re[k_bins], im[k_bins], gain[k_bins];
    double phase;
    uint32_t seed;
    int at; /* samples so far */
} rig;

/* The next sample of a signal; each may use `phase`. */
typedef float (*source)(rig *self, double time_s);

static rig make(void)
{
    rig self = {.seed = 3};
    const ae_music_guard_config guard = {k_bins, 31.25f, 10.0f};
    const ae_stft_config stft = {k_hop, k_window};
    CHECK(ae_music_guard_create(&self.guard, &guard) == AE_OK);
    CHECK(ae_stft_create(&self.stft, &stft) == AE_OK);
    ae_fill(self.gain, 1.0f, k_bins);
    return self;
}

static void destroy(rig *self)
{
    ae_music_guard_destroy(self->guard);
    ae_stft_destroy(self->stft);
}

/* Runs `seconds` of it; returns when music was said first, or -1. */
static double play(rig *self, source next, double seconds)
{
    double first = -1.0;
    const float scale = 1.0f / ae_stft_window_power(self->stft);
    for (int b = 0; b < (int)(seconds * 100.0 + 0.5); b++) {
        float in[k_hop];
        for (int i = 0; i < k_hop; i++, self->at++)
            in[i] = next(self, (double)self->at / k_rate) + 1e-4f * ae_random(&self->seed);
        ae_stft_analyse(self->stft, in, self->re, self->im);
        ae_music_guard_update(self->guard, self->re, self->im, scale, self->gain);
        if (first < 0.0 && ae_music_guard_music(self->guard)) first = 0.01 * (b + 1);
    }
    return first;
}

static float silence(rig *self, double time_s)
{
    (void)self, (void)time_s;
    return 0.0f;
}

static float white(rig *self, double time_s)
{
    (void)time_s;
    return 0.1f * ae_random(&self->seed);
}

static float harmonics(double fundamental_hz, int count, double time_s)
{
    double sum = 0.0;
    for (int h = 1; h <= count; h++) sum += sin(k_two_pi * fundamental_hz * h * time_s) / h;
    return 0.05f * (float)sum;
}

/* C, F, G, C: half a second each, six partials per tone. */
static float chords(rig *self, double time_s)
{
    static const double roots_hz[4] = {261.6256, 349.2282, 391.9954, 261.6256};
    (void)self;
    const double root_hz = roots_hz[(int)(time_s * 2.0) % 4];
    return harmonics(root_hz, 6, time_s) + harmonics(root_hz * 1.259921, 6, time_s) +
           harmonics(root_hz * 1.498307, 6, time_s);
}

static float hum(rig *self, double time_s)
{
    (void)self;
    return harmonics(50.0, 30, time_s);
}

static float whistles(rig *self, double time_s)
{
    (void)self;
    return harmonics(700.0, 1, time_s) + harmonics(1133.0, 1, time_s) +
           harmonics(2510.0, 1, time_s);
}

/* Syllables of 250 ms, the pitch falls from 140 to 110 Hz in each. */
static float voice(rig *self, double time_s)
{
    const double within = fmod(time_s, 0.25) / 0.25;
    self->phase += k_two_pi * (140.0 - 30.0 * within) / k_rate;
    double sum = 0.0;
    for (int h = 1; h <= 30; h++) sum += sin(h * self->phase) / h;
    return 0.1f * (float)(sum * sin(0.5 * k_two_pi * within));
}

static float voice_over_chords(rig *self, double time_s)
{
    return voice(self, time_s) + chords(self, time_s);
}

static void test_create_checks_every_field(void)
{
    const ae_music_guard_config bad[] = {
        {31, 31.25f, 10.0f}, {65537, 31.25f, 10.0f}, {257, 0.0f, 10.0f}, {257, NAN, 10.0f},
        {257, 31.25f, 4.9f}, {257, 31.25f, 20.1f},   {257, 31.25f, NAN}, {257, INFINITY, 10.0f}};
    for (int i = 0; i < 8; i++) {
        ae_music_guard *self = (ae_music_guard *)&bad;
        CHECK(ae_music_guard_create(&self, &bad[i]) == AE_ERROR_ARGUMENT && self == NULL);
    }
    ae_music_guard_destroy(NULL);
}

static void test_chords_are_music_and_end(void)
{
    rig self = make();
    CHECK(play(&self, silence, 1.0) < 0.0);
    const double first = play(&self, chords, 4.0);
    CHECK(first > 0.3 && first < 2.0);
    CHECK(ae_music_guard_score(self.guard) > 2.0f);
    CHECK(ae_music_guard_presence(self.guard) > 0.95f);
    /* The guard holds on through a pause of a bar, and lets go within 12 s. */
    play(&self, white, 2.0);
    CHECK(ae_music_guard_music(self.guard) == 1);
    play(&self, white, 10.0);
    CHECK(ae_music_guard_music(self.guard) == 0);
    play(&self, white, 4.0);
    CHECK(ae_music_guard_presence(self.guard) < 0.05f);
    destroy(&self);
}

static void test_speech_over_music_is_music(void)
{
    rig self = make();
    play(&self, silence, 1.0);
    const double first = play(&self, voice_over_chords, 4.0);
    CHECK(first > 0.3 && first < 3.0);
    destroy(&self);
}

static void test_what_is_not_music(void)
{
    const source sources[] = {silence, white, voice, hum, whistles};
    for (int s = 0; s < 5; s++) {
        rig self = make();
        CHECK(play(&self, sources[s], 10.0) < 0.0); /* from the first moment on */
        destroy(&self);
        self = make();
        play(&self, white, 3.0);
        CHECK(play(&self, sources[s], 10.0) < 0.0); /* in mid-stream */
        destroy(&self);
    }
}

static void test_music_of_the_far_end_is_not_ours(void)
{
    rig self = make();
    ae_fill(self.gain, 0.3f, k_bins);
    play(&self, silence, 1.0);
    CHECK(play(&self, chords, 5.0) < 0.0);
    destroy(&self);
}

static void test_tones_name_their_bins(void)
{
    rig self = make();
    play(&self, whistles, 1.0);
    const float *tones = ae_music_guard_tones(self.guard);
    for (int k = 0; k < k_bins; k++) {
        const double hz = 31.25 * k;
        const double near =
            fmin(fmin(fabs(hz - 700.0), fabs(hz - 1133.0)), fabs(hz - 2510.0)) / 31.25;
        if (near <= 0.5) CHECK(tones[k] == 1.0f);
        if (near > 2.1) CHECK(tones[k] == 0.0f);
    }
    destroy(&self);
}

/* A hop that is no audio is passed over; nothing of it stays. */
static void test_bad_weather(void)
{
    const float bad[] = {NAN, INFINITY, -INFINITY, 3e38f};
    rig self = make(), other = make();
    play(&self, silence, 1.0);
    play(&other, silence, 1.0);
    for (int i = 0; i < 4; i++) {
        play(&self, chords, 1.0);
        play(&other, chords, 1.0);
        for (int b = 0; b < 20; b++) {
            float re[k_bins];
            ae_fill(re, bad[i], k_bins);
            ae_music_guard_update(self.guard, re, re, 1.0f, NULL);
            ae_copy(re, self.re, k_bins);
            re[40] = bad[i];
            ae_music_guard_update(self.guard, re, re, 1.0f, NULL);
        }
        CHECK(ae_music_guard_score(self.guard) == ae_music_guard_score(other.guard));
    }
    float plane[k_bins];
    const float values[] = {0.0f, 1e-38f, 1e-20f, 90.0f, 1000.0f};
    for (int b = 0; b < 500; b++) {
        ae_fill(plane, values[b / 100], k_bins);
        ae_music_guard_update(self.guard, plane, plane, 1.0f, NULL);
        CHECK(isfinite(ae_music_guard_score(self.guard)));
    }
    destroy(&self);
    destroy(&other);
}

static void test_reset_is_new_and_no_allocation(void)
{
    rig self = make(), fresh = make();
    const uint64_t allocations = ae_allocation_count();
    play(&self, chords, 5.0);
    CHECK(ae_music_guard_music(self.guard) == 1);
    ae_music_guard_reset(self.guard);
    CHECK(ae_music_guard_music(self.guard) == 0 && ae_music_guard_presence(self.guard) == 0.0f);
    ae_stft_reset(self.stft);
    self.at = 0;
    self.seed = fresh.seed;
    for (int t = 0; t < 30; t++) {
        play(&self, chords, 0.1);
        play(&fresh, chords, 0.1);
        CHECK(ae_music_guard_score(self.guard) == ae_music_guard_score(fresh.guard));
    }
    CHECK(ae_music_guard_score(self.guard) > 0.5f);
    CHECK(ae_allocation_count() == allocations);
    destroy(&self);
    destroy(&fresh);
}

int main(void)
{
    test_create_checks_every_field();
    test_chords_are_music_and_end();
    test_speech_over_music_is_music();
    test_what_is_not_music();
    test_music_of_the_far_end_is_not_ours();
    test_tones_name_their_bins();
    test_bad_weather();
    test_reset_is_new_and_no_allocation();
    return AE_TEST_RESULT();
}
