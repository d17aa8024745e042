/* Truth: correlation functions of a known echo path, moved by a known number of ppm. */
#include "ae_drift.h"

#include "ae_math.h"
#include "ae_test.h"

enum { k_lags = 1600, k_rounds = 25, k_seconds = 6, k_reflections = 8 };
static const float k_rate = 8000.0f; /* of the lags */

static ae_drift *make(void)
{
    ae_drift *self = NULL;
    CHECK(ae_drift_create(&self, &(ae_drift_config){(float)k_rounds}) == AE_OK);
    return self;
}

static const int k_place[k_reflections] = {0, 9, 15, 27, 38, 60, 81, 120};

/* A peak at `lag` and its reflections, each as wide as speech in 300 .. 3400 Hz makes it. */
static int correlate(float *correlation, float lag, const float *gains, float noise, uint32_t *seed)
{
    for (int i = 0; i < k_lags; i++) correlation[i] = noise * ae_random(seed);
    for (int r = 0; r < k_reflections; r++) {
        const float at = lag + (float)k_place[r];
        const int middle = (int)lrintf(at);
        for (int i = middle - 24; i <= middle + 24; i++) {
            const float x = k_ae_pi * 0.8f * ((float)i - at), y = ((float)i - at) / 8.0f;
            if (i >= 0 && i < k_lags)
                correlation[i] += gains[r] * expf(-y * y) * (x * x < 1e-8f ? 1.0f : sinf(x) / x);
        }
    }
    return (int)lrintf(lag);
}

/* ppm that is found; `moving` changes the reflections (a moved microphone), not their places. */
static float found_ppm(float ppm, float start_lag, float noise, int moving)
{
    static float correlation[k_lags];
    float gains[k_reflections] = {1.0f, -0.6f, 0.5f, -0.45f, 0.4f, 0.3f, -0.3f, 0.2f};
    uint32_t seed = 21;
    ae_drift *self = make();
    const uint64_t allocations = ae_allocation_count();
    for (int t = 0; t < k_seconds * k_rounds; t++) {
        if (t % 7 == 3) {
            ae_drift_skip(self); /* a pause in the far end */
            continue;
        }
        for (int r = 1; moving && r < k_reflections; r++)
            gains[r] = ae_clamp(gains[r] + 0.1f * ae_random(&seed), -0.7f, 0.7f);
        const float lag = start_lag + ppm * 1e-6f * k_rate * (float)t / (float)k_rounds;
        const int peak = correlate(correlation, lag, gains, noise, &seed);
        ae_drift_update(self, correlation, k_lags, peak);
    }
    CHECK(ae_drift_pairs(self) > 60);
    CHECK(ae_allocation_count() == allocations);
    const float found = ae_drift_samples_per_second(self) / k_rate * 1e6f;
    ae_drift_destroy(self);
    return found;
}

static void test_create_checks_every_field(void)
{
    const float bad[] = {0.9f, 101.0f, -1.0f, NAN, INFINITY};
    for (int i = 0; i < 5; i++) {
        ae_drift *self = (ae_drift *)&bad;
        CHECK(ae_drift_create(&self, &(ae_drift_config){bad[i]}) == AE_ERROR_ARGUMENT);
        CHECK(self == NULL);
    }
    ae_drift_destroy(NULL);
}

/* Documented: within 4 ppm or 15 %, and never more than 5 ppm where there is none. */
static void test_known_ppm_are_found(void)
{
    static const float ppm[] = {-600.0f, -300.0f, -100.0f, -20.0f, 20.0f, 50.0f, 100.0f, 600.0f};
    static const float lags[] = {300.0f, 777.4f, 40.0f, 1450.0f}; /* also near both ends */
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < 4; j++)
            CHECK_NEAR(found_ppm(ppm[i], lags[j], 0.05f, 0), ppm[i],
                       fmaxf(4.0f, 0.15f * fabsf(ppm[i])));
    for (int j = 0; j < 4; j++) CHECK_NEAR(found_ppm(0.0f, lags[j], 0.05f, 0), 0.0f, 5.0f);
}

static void test_a_moved_microphone_is_no_drift(void)
{
    CHECK_NEAR(found_ppm(0.0f, 500.3f, 0.05f, 1), 0.0f, 5.0f);
    CHECK_NEAR(found_ppm(100.0f, 500.3f, 0.05f, 1), 100.0f, 15.0f);
}

static void test_noise_is_no_drift(void)
{
    CHECK(found_ppm(0.0f, -1000.0f, 1.0f, 0) == 0.0f); /* no peak within the lags */
}

static void test_reset_is_new_and_bad_weather(void)
{
    static float correlation[k_lags];
    const float gains[k_reflections] = {1.0f, 0.5f, -0.3f}, levels[] = {0.0f, 1e9f, 1e-40f, -1e9f};
    uint32_t seed = 8;
    ae_drift *used = make(), *fresh = make();
    const uint64_t allocations = ae_allocation_count();
    for (int t = 0; t < 400; t++) {
        for (int i = 0; i < k_lags; i++) correlation[i] = levels[(t + (i % 3) * (t / 100)) % 4];
        ae_drift_update(used, correlation, k_lags, (t / 50) % 2 ? k_lags - 1 - t % 5 : t % 5);
        CHECK(fabsf(ae_drift_samples_per_second(used)) <= 8.0f);
    }
    ae_drift_reset(used);
    CHECK(ae_drift_pairs(used) == 0 && ae_drift_samples_per_second(used) == 0.0f);
    for (int t = 0; t < 60; t++) {
        const int peak = correlate(correlation, 400.0f + 0.02f * (float)t, gains, 0.1f, &seed);
        ae_drift_update(used, correlation, k_lags, peak);
        ae_drift_update(fresh, correlation, k_lags, peak);
        CHECK(ae_drift_pairs(used) == ae_drift_pairs(fresh));
        CHECK(ae_drift_samples_per_second(used) == ae_drift_samples_per_second(fresh));
    }
    CHECK(ae_drift_pairs(used) == 60 - k_rounds);
    CHECK(ae_allocation_count() == allocations);
    ae_drift_destroy(used);
    ae_drift_destroy(fresh);
}

int main(void)
{
    test_create_checks_every_field();
    test_known_ppm_are_found();
    test_a_moved_microphone_is_no_drift();
    test_noise_is_no_drift();
    test_reset_is_new_and_bad_weather();
    return AE_TEST_RESULT();
}
