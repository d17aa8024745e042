/* Truths: logarithms of known ratios, a spectrum that stays or is drawn anew, a pitch that glides.
 */
#include "ae_speech_features.h"

#include "ae_math.h"
#include "ae_test.h"

enum { k_points = 257, k_bands = k_ae_speech_bands, k_lags = k_ae_speech_lags };

/* Where the groups of features begin. */
enum {
    k_fast = k_bands,
    k_slow = 2 * k_bands,
    k_prior = 3 * k_bands,
    k_lines = 4 * k_bands,
    k_lines_slow = k_lines + k_lags,
    k_pitch = k_lines_slow + k_lags
};

typedef struct {
    float power[k_points], noise[k_points], prior[k_points];
    float pitch_strength, pitch_hz;
} sound;

static ae_speech_features *make(int bins)
{
    const ae_speech_features_config config = {bins, 31.25f, 10.0f};
    ae_speech_features *self = NULL;
    CHECK(ae_speech_features_create(&self, &config) == AE_OK);
    return self;
}

static const float *hear(ae_speech_features *self, const sound *heard)
{
    const ae_speech_hop hop = {heard->power, heard->noise, heard->prior, heard->pitch_strength,
                               heard->pitch_hz};
    return ae_speech_features_update(self, &hop);
}

static sound flat(float power, float noise, float prior_snr)
{
    sound heard = {.pitch_strength = 0.1f, .pitch_hz = 100.0f};
    ae_fill(heard.power, power, k_points);
    ae_fill(heard.noise, noise, k_points);
    ae_fill(heard.prior, prior_snr, k_points);
    return heard;
}

/* Powers of white noise: exponentially distributed around 1. */
static void draw(sound *heard, uint32_t *seed)
{
    for (int k = 0; k < k_points; k++) heard->power[k] = -logf(0.5f + 0.4999f * ae_random(seed));
}

static void test_create_checks_every_field(void)
{
    const ae_speech_features_config bad[] = {
        {120, 31.25f, 10.0f}, {257, 0.0f, 10.0f}, {257, 71.0f, 10.0f},     {257, NAN, 10.0f},
        {257, 31.25f, 0.5f},  {257, 31.25f, NAN}, {1 << 20, 31.25f, 10.0f}};
    for (int i = 0; i < 7; i++) {
        ae_speech_features *self = (ae_speech_features *)&bad;
        CHECK(ae_speech_features_create(&self, &bad[i]) == AE_ERROR_ARGUMENT && self == NULL);
    }
    ae_speech_features_destroy(NULL);
}

static void test_bands_are_logarithms_of_ratios(void)
{
    ae_speech_features *self = make(k_points);
    sound heard = flat(2e-6f, 1e-6f, 8.0f);
    const float *found = NULL;
    for (int t = 0; t < 3; t++) found = hear(self, &heard);
    for (int b = 0; b < k_bands; b++) {
        CHECK_NEAR(found[b], log2(2.25), 1e-4);
        CHECK_NEAR(found[k_fast + b], log2(2.25), 1e-4);
        CHECK_NEAR(found[k_slow + b], log2(2.25), 1e-4);
        CHECK_NEAR(found[k_prior + b], 3.0, 1e-4);
    }
    heard = flat(32e-6f, 1e-6f, 8.0f); /* a step: one pole of 30 and of 150 ms */
    for (int t = 0; t < 3; t++) found = hear(self, &heard);
    const double step = log2(32.25) - log2(2.25);
    CHECK_NEAR(found[0] - found[k_fast], step * exp(-1.0), 1e-3);
    CHECK_NEAR(found[0] - found[k_slow], step * exp(-0.2), 1e-3);
    ae_speech_features_destroy(self);
}

static void test_the_level_does_not_matter(void)
{
    ae_speech_features *loud = make(k_points), *soft = make(k_points);
    uint32_t seed = 1;
    for (int t = 0; t < 40; t++) {
        sound heard = flat(1.0f, 0.5f, 3.0f);
        draw(&heard, &seed);
        const float *from_loud = hear(loud, &heard);
        for (int k = 0; k < k_points; k++) {
            heard.power[k] *= 1e-6f;
            heard.noise[k] *= 1e-6f;
        }
        const float *from_soft = hear(soft, &heard);
        for (int i = 0; i < k_ae_speech_features; i++) CHECK_NEAR(from_soft[i], from_loud[i], 2e-3);
    }
    ae_speech_features_destroy(loud);
    ae_speech_features_destroy(soft);
}

static void test_bands_beyond_the_signal_follow_the_highest(void)
{
    ae_speech_features *self = make(129); /* 8 kHz */
    sound heard = flat(8e-6f, 1e-6f, 2.0f);
    const float *found = hear(self, &heard);
    CHECK(found[k_bands - 1] == found[k_bands - 2]);
    CHECK(found[k_prior + k_bands - 1] == found[k_prior + k_bands - 2]);
    ae_speech_features_destroy(self);
}

/* What stays is like itself at every lag; what is drawn anew is like nothing before; what moves
 * by a line's width in 80 ms is like itself at short lags only. */
static void test_lines_that_stay_go_and_move(void)
{
    ae_speech_features *stays = make(k_points), *fresh = make(k_points), *moves = make(k_points);
    uint32_t seed = 1;
    sound still = flat(1.0f, 0.01f, 1.0f), noise = still;
    draw(&still, &seed);
    const float *from_stays = NULL, *from_fresh = NULL, *from_moves = NULL;
    float short_lag = 0.0f, long_lag = 0.0f;
    for (int t = 0; t < 100; t++) {
        sound glide = flat(1e-4f, 0.001f, 1.0f);
        const float f0 = 5.0f + 0.03f * (float)t; /* in bins */
        for (int h = 1; h <= 20; h++) {
            const float at = (float)h * f0;
            for (int k = 0; k < k_points; k++)
                glide.power[k] += expf(-2.0f * ((float)k - at) * ((float)k - at));
        }
        draw(&noise, &seed);
        from_stays = hear(stays, &still);
        from_fresh = hear(fresh, &noise);
        from_moves = hear(moves, &glide);
        if (t >= 50) {
            short_lag += from_moves[k_lines] / 50.0f;
            long_lag += from_moves[k_lines + 4] / 50.0f;
        }
    }
    for (int i = 0; i < k_lags; i++) {
        CHECK_NEAR(from_stays[k_lines + i], 1.0, 0.01);
        CHECK_NEAR(from_stays[k_lines_slow + i], 1.0, 0.01);
        CHECK(fabsf(from_fresh[k_lines_slow + i]) < 0.15f);
    }
    printf("lines that move: %.2f after 10 ms, %.2f after 140 ms\n", (double)short_lag,
           (double)long_lag);
    CHECK(short_lag > 0.8f && long_lag < 0.3f);
    ae_speech_features_destroy(stays);
    ae_speech_features_destroy(fresh);
    ae_speech_features_destroy(moves);
}

static void test_pitch_that_stays_glides_and_jumps(void)
{
    ae_speech_features *self = make(k_points);
    sound heard = flat(1.0f, 0.1f, 1.0f);
    const float *found = NULL;
    heard.pitch_strength = 0.5f;
    heard.pitch_hz = 200.0f;
    for (int t = 0; t < 200; t++) found = hear(self, &heard);
    for (int i = 0; i <= 4; i++) CHECK_NEAR(found[k_pitch + i], 0.5, 0.005); /* stays */
    CHECK_NEAR(found[k_pitch + 5], 0.0, 1e-4);
    CHECK_NEAR(found[k_pitch + 6], log2(200.0) - 7.2, 1e-4);
    for (int t = 0; t < 60; t++) { /* glides up by 1 % per hop */
        heard.pitch_hz *= 1.01f;
        found = hear(self, &heard);
    }
    CHECK_NEAR(found[k_pitch + 3], 0.5, 1e-3);
    CHECK_NEAR(found[k_pitch + 5], 0.5 * log2(1.01), 1e-3);
    for (int t = 0; t < 60; t++) { /* jumps about */
        heard.pitch_hz = t % 2 ? 90.0f : 300.0f;
        found = hear(self, &heard);
    }
    CHECK_NEAR(found[k_pitch + 1], 0.5, 1e-3);
    CHECK(found[k_pitch + 3] < 0.01f);
    ae_speech_features_destroy(self);
}

static void test_reset_is_new_and_bad_weather(void)
{
    ae_speech_features *self = make(k_points), *fresh = make(k_points);
    const uint64_t allocations = ae_allocation_count();
    const float powers[] = {0.0f, 1e-39f, 1.0f, 3e38f};
    for (int i = 0; i < 4; i++) {
        sound heard = flat(powers[i], ae_max(powers[i], 1e-20f), powers[i]);
        heard.pitch_strength = powers[i];
        for (int t = 0; t < 20; t++) {
            const float *found = hear(self, &heard);
            for (int f = 0; f < k_ae_speech_features; f++) CHECK(fabsf(found[f]) <= 20.0f);
        }
    }
    ae_speech_features_reset(self);
    sound heard = flat(3.0f, 1.0f, 2.0f);
    uint32_t seed = 5;
    for (int t = 0; t < 20; t++) {
        draw(&heard, &seed);
        const float *again = hear(self, &heard), *new = hear(fresh, &heard);
        for (int f = 0; f < k_ae_speech_features; f++) CHECK(again[f] == new[f]);
    }
    CHECK(ae_allocation_count() == allocations);
    ae_speech_features_destroy(self);
    ae_speech_features_destroy(fresh);
}

int main(void)
{
    test_create_checks_every_field();
    test_bands_are_logarithms_of_ratios();
    test_the_level_does_not_matter();
    test_bands_beyond_the_signal_follow_the_highest();
    test_lines_that_stay_go_and_move();
    test_pitch_that_stays_glides_and_jumps();
    test_reset_is_new_and_bad_weather();
    return AE_TEST_RESULT();
}
