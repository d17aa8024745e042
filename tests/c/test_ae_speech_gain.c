/* Truths: the LSA gain with a numerically integrated exponential integral; limits of the gain. */
#include "ae_speech_gain.h"

#include "ae_math.h"
#include "ae_test.h"

enum { k_points = 263, k_hint_points = 257 };

static ae_speech_gain *make(void)
{
    ae_speech_gain *self = NULL;
    const ae_speech_gain_config config = {k_points, k_hint_points, 10.0f};
    CHECK(ae_speech_gain_create(&self, &config) == AE_OK);
    return self;
}

static void test_create_checks_every_field(void)
{
    const ae_speech_gain_config bad[] = {
        {15, 0, 10.0f}, {65537, 0, 10.0f}, {20, -1, 10.0f}, {20, 21, 10.0f}, {20, 20, NAN}};
    for (int i = 0; i < 5; i++) {
        ae_speech_gain *self = (ae_speech_gain *)&bad;
        CHECK(ae_speech_gain_create(&self, &bad[i]) == AE_ERROR_ARGUMENT && self == NULL);
    }
    ae_speech_gain_destroy(NULL);
}

/* E1(v) = int_0^inf exp(-v e^s) ds by Simpson's rule. */
static double exponential_integral(double v)
{
    const int steps = 20000;
    const double end = log(60.0 / v + 2.0), h = end / steps;
    double sum = 0.0;
    for (int i = 0; i <= steps; i++)
        sum += (i == 0 || i == steps ? 1.0 : i % 2 ? 4.0 : 2.0) * exp(-v * exp(i * h));
    return sum * h / 3.0;
}

static void test_lsa_gain_against_integration(void)
{
    ae_speech_gain *self = make();
    const double priors_db[] = {-20.0, -5.0, 0.0, 10.0, 30.0};
    for (int i = 0; i < 5; i++) {
        const double prior = pow(10.0, 0.1 * priors_db[i]);
        for (double v = 3e-5; v < 55.0; v *= 1.3) {
            const double truth = prior / (1.0 + prior) * exp(0.5 * exponential_integral(v));
            const double gain = exp2((double)ae_speech_gain_lsa_log2(self, (float)prior, (float)v));
            CHECK_NEAR(20.0 * log10(gain / truth), 0.0, 0.03);
        }
    }
    ae_speech_gain_destroy(self);
}

static void test_loud_speech_passes_and_noise_falls(void)
{
    ae_speech_gain *self = make();
    static float power[k_points], noise[k_points], hint[k_hint_points], gain[k_points];
    ae_fill(noise, 1e-6f, k_points);
    for (int t = 0; t < 40; t++) {
        const int loud = t >= 20;
        ae_fill(power, loud ? 1e-3f : 1e-6f, k_points); /* 30 dB above the noise */
        ae_fill(hint, loud ? 1000.0f : 0.01f, k_hint_points);
        ae_speech_gain_update(self, power, noise, hint, -3.0f, gain);
        for (int k = 0; k < k_points; k++) {
            CHECK(gain[k] <= 0.0f && gain[k] >= -3.0f);
            if (t == 19) CHECK(gain[k] < -2.9f);
            if (t >= 22) CHECK(gain[k] > -0.05f); /* 0.3 dB, 30 ms after the onset */
        }
    }
    ae_speech_gain_destroy(self);
}

static void test_reset_is_new_and_bad_weather(void)
{
    ae_speech_gain *self = make(), *fresh = make();
    static float power[k_points], noise[k_points], hint[k_hint_points], a[k_points], b[k_points];
    const float levels[] = {0.0f, 4096.0f, 1e-38f, 1.0f};
    const uint64_t allocations = ae_allocation_count();
    ae_fill(hint, 1e30f, k_hint_points);
    for (int i = 0; i < 16; i++) {
        ae_fill(power, levels[i % 4], k_points);
        ae_fill(noise, levels[i / 4] + 1e-12f, k_points);
        ae_speech_gain_update(self, power, noise, hint, -4.0f, a);
        for (int k = 0; k < k_points; k++) CHECK(a[k] <= 0.0f && a[k] >= -4.0f);
    }
    ae_speech_gain_reset(self);
    uint32_t seed = 4;
    for (int t = 0; t < 20; t++) {
        for (int k = 0; k < k_points; k++) power[k] = 1.0f + ae_random(&seed);
        ae_fill(noise, 0.3f, k_points);
        ae_fill(hint, 2.0f, k_hint_points);
        ae_speech_gain_update(self, power, noise, hint, -4.0f, a);
        ae_speech_gain_update(fresh, power, noise, hint, -4.0f, b);
        CHECK(memcmp(a, b, sizeof a) == 0);
    }
    CHECK(ae_allocation_count() == allocations);
    ae_speech_gain_destroy(self);
    ae_speech_gain_destroy(fresh);
}

int main(void)
{
    test_create_checks_every_field();
    test_lsa_gain_against_integration();
    test_loud_speech_passes_and_noise_falls();
    test_reset_is_new_and_bad_weather();
    return AE_TEST_RESULT();
}
