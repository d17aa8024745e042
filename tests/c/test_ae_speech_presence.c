/* Truths: the order of cases that any ear agrees on. Accuracy on recordings: benchmarks. */
#include "ae_speech_presence.h"

#include "ae_math.h"
#include "ae_test.h"

enum { k_points = 257 };

static ae_speech_presence *make(int last_edge)
{
    ae_speech_presence_config config = {.hop_ms = 10.0f};
    for (int b = 0; b <= k_ae_presence_bands; b++)
        config.band_edges[b] =
            ae_clamp_int((int)(k_ae_presence_edges_hz[b] / 31.25f), 0, last_edge);
    ae_speech_presence *self = NULL;
    CHECK(ae_speech_presence_create(&self, &config) == AE_OK);
    return self;
}

static float settle(ae_speech_presence *self, float prior_snr, float pitch_strength, int hops)
{
    float prior[k_points], probability = 0.0f;
    ae_fill(prior, prior_snr, k_points);
    for (int t = 0; t < hops; t++)
        probability = ae_speech_presence_update(self, prior, pitch_strength);
    return probability;
}

static void test_create_checks_every_field(void)
{
    const ae_speech_presence_config bad[] = {{{3, 3, 4, 5, 6, 7, 8}, 10.0f},
                                             {{-1, 3, 4, 5, 6, 7, 8}, 10.0f},
                                             {{1, 3, 4, 5, 4, 7, 8}, 10.0f},
                                             {{1, 3, 4, 5, 6, 7, 8}, NAN}};
    for (int i = 0; i < 4; i++) {
        ae_speech_presence *self = (ae_speech_presence *)&bad;
        CHECK(ae_speech_presence_create(&self, &bad[i]) == AE_ERROR_ARGUMENT && self == NULL);
    }
    ae_speech_presence_destroy(NULL);
}

static void test_speech_noise_and_what_lies_between(void)
{
    const int last_edges[] = {256, 128}; /* 16 kHz and 8 kHz */
    for (int i = 0; i < 2; i++) {
        ae_speech_presence *self = make(last_edges[i]);
        const float noise = settle(self, 0.03f, 0.1f, 60);
        const float hiss_like = settle(self, 30.0f, 0.05f, 60);
        const float voiced = settle(self, 30.0f, 0.5f, 60);
        CHECK(noise < 0.1f && voiced > 0.9f);
        CHECK(noise < hiss_like && hiss_like < voiced);
        ae_speech_presence_destroy(self);
    }
}

static void test_quick_up_slow_down(void)
{
    ae_speech_presence *self = make(256);
    settle(self, 0.03f, 0.1f, 100);
    CHECK(settle(self, 100.0f, 0.5f, 4) > 0.5f); /* 40 ms after the onset */
    settle(self, 100.0f, 0.5f, 50);
    CHECK(settle(self, 0.03f, 0.1f, 5) > 0.5f); /* a closure of 50 ms is no pause */
    CHECK(settle(self, 0.03f, 0.1f, 40) < 0.5f);
    ae_speech_presence_destroy(self);
}

static void test_reset_is_new_and_bad_weather(void)
{
    ae_speech_presence *self = make(256), *fresh = make(256);
    const uint64_t allocations = ae_allocation_count();
    const float priors[] = {0.0f, 1e6f, 1e-38f, 3e38f};
    for (int i = 0; i < 4; i++) {
        const float probability = settle(self, priors[i], 1e9f, 20);
        CHECK(probability >= 0.0f && probability <= 1.0f);
    }
    ae_speech_presence_reset(self);
    CHECK(settle(self, 2.0f, 0.2f, 7) == settle(fresh, 2.0f, 0.2f, 7));
    CHECK(ae_allocation_count() == allocations);
    ae_speech_presence_destroy(self);
    ae_speech_presence_destroy(fresh);
}

int main(void)
{
    test_create_checks_every_field();
    test_speech_noise_and_what_lies_between();
    test_quick_up_slow_down();
    test_reset_is_new_and_bad_weather();
    return AE_TEST_RESULT();
}
