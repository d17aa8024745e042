/* Truths: the power of a known exponential process; known steps of it. */
#include "ae_noise_psd.h"

#include "ae_math.h"
#include "ae_test.h"

enum { k_points = 257 };

static ae_noise_psd *make(void)
{
    ae_noise_psd *self = NULL;
    CHECK(ae_noise_psd_create(&self, &(ae_noise_psd_config){k_points, 10.0f}) == AE_OK);
    return self;
}

/* |X|^2 of white Gaussian noise of power `mean` in overlapping windows: a first-order complex
 * Gaussian process; 0.55 is the correlation of 32 ms windows 10 ms apart. */
typedef struct {
    float re[k_points], im[k_points];
    uint32_t seed;
} process;

static float gaussian(uint32_t *seed)
{
    float sum = 0.0f;
    for (int i = 0; i < 12; i++) sum += ae_random(seed);
    return 0.5f * sum; /* variance 1/3 * 12 / 4 */
}

static void next(process *noise, float mean, float *power)
{
    const float keep = 0.55f, fresh = sqrtf(1.0f - keep * keep);
    for (int k = 0; k < k_points; k++) {
        noise->re[k] = keep * noise->re[k] + fresh * gaussian(&noise->seed);
        noise->im[k] = keep * noise->im[k] + fresh * gaussian(&noise->seed);
        power[k] = 0.5f * mean * (noise->re[k] * noise->re[k] + noise->im[k] * noise->im[k]);
    }
}

static double level_db(const ae_noise_psd *self)
{
    double sum = 0.0;
    for (int k = 0; k < k_points; k++) sum += (double)ae_noise_psd_power(self)[k];
    return 10.0 * log10(sum / k_points);
}

static void test_create_checks_every_field(void)
{
    const ae_noise_psd_config bad[] = {{0, 10.0f}, {65537, 10.0f}, {9, 0.5f}, {9, NAN}};
    for (int i = 0; i < 4; i++) {
        ae_noise_psd *self = (ae_noise_psd *)&bad;
        CHECK(ae_noise_psd_create(&self, &bad[i]) == AE_ERROR_ARGUMENT && self == NULL);
    }
    ae_noise_psd_destroy(NULL);
}

static void test_unbiased_and_quick_from_cold(void)
{
    ae_noise_psd *self = make();
    static process noise = {.seed = 17};
    float power[k_points];
    double mean = 0.0;
    for (int t = 0; t < 600; t++) {
        next(&noise, 1e-4f, power);
        ae_noise_psd_update(self, power, NULL);
        if (t == 15) CHECK_NEAR(level_db(self), -40.0, 1.0);
        if (t >= 100) mean += level_db(self) / 500.0;
    }
    CHECK_NEAR(mean, -40.0, 0.5);
    ae_noise_psd_destroy(self);
}

static void test_follows_steps(void)
{
    ae_noise_psd *self = make();
    static process noise = {.seed = 5};
    float power[k_points];
    for (int t = 0; t < 600; t++) {
        const float mean = t < 200 ? 1e-6f : t < 400 ? 1.6e-5f : 1e-6f; /* + 12 dB, - 12 dB */
        next(&noise, mean, power);
        ae_noise_psd_update(self, power, NULL);
        if (t == 199) CHECK_NEAR(level_db(self), -60.0, 1.0);
        if (t == 300) CHECK_NEAR(level_db(self), -48.0, 1.5); /* 1 s after the step up */
        if (t == 450) CHECK_NEAR(level_db(self), -60.0, 1.5); /* 0.5 s after the step down */
    }
    ae_noise_psd_destroy(self);
}

/* Bursts 20 dB above the noise, 300 ms long with 150 ms between, as syllables are. */
static void test_speech_is_not_learned(void)
{
    ae_noise_psd *self = make();
    static process noise = {.seed = 8}, speech = {.seed = 99};
    float power[k_points], more[k_points];
    double worst = -100.0;
    for (int t = 0; t < 800; t++) {
        next(&noise, 1e-6f, power);
        next(&speech, 1e-4f, more);
        for (int k = 0; k < k_points && t > 100 && t % 45 < 30; k++) power[k] += more[k];
        ae_noise_psd_update(self, power, NULL);
        if (t > 100) worst = fmax(worst, level_db(self));
    }
    CHECK(worst < -56.0);
    ae_noise_psd_destroy(self);
}

/* The same bursts, known to be no speech: the estimate comes to the mean of all. */
static void test_gusts_are_learned(void)
{
    ae_noise_psd *self = make();
    static process noise = {.seed = 8}, gust = {.seed = 99};
    float power[k_points], more[k_points];
    double loud_db = 0.0;
    for (int t = 0; t < 800; t++) {
        next(&noise, 1e-6f, power);
        next(&gust, 1e-4f, more);
        for (int k = 0; k < k_points && t > 100 && t % 45 < 30; k++) power[k] += more[k];
        ae_noise_psd_update(self, power, NULL);
        ae_noise_psd_learn_absence(self, 1.0f);
        if (t > 100 && t % 45 == 29) loud_db = level_db(self);
    }
    CHECK_NEAR(loud_db, -40.0, 3.0);
    ae_noise_psd_reset(self);
    next(&noise, 1e-6f, power);
    ae_noise_psd_update(self, power, NULL);
    const double before_db = level_db(self);
    for (int k = 0; k < k_points; k++) power[k] += 1.0f; /* a word's first hop, judged too late */
    ae_noise_psd_update(self, power, NULL);
    const double updated_db = level_db(self);
    ae_noise_psd_learn_absence(self, 1.0f);
    CHECK(level_db(self) < updated_db + 1.6); /* 72 ms towards 6 dB more */
    CHECK(updated_db >= before_db);
    ae_noise_psd_destroy(self);
}

static void test_foreign_power_is_not_learned(void)
{
    ae_noise_psd *self = make();
    static process noise = {.seed = 21}, echo = {.seed = 22};
    float power[k_points], more[k_points], foreign[k_points];
    ae_fill(foreign, 1e-4f, k_points);
    for (int t = 0; t < 500; t++) {
        next(&noise, 1e-6f, power);
        next(&echo, 1e-4f, more);
        for (int k = 0; k < k_points && t >= 100; k++) power[k] += more[k];
        ae_noise_psd_update(self, power, t >= 100 ? foreign : NULL);
    }
    CHECK_NEAR(level_db(self), -60.0, 2.0);
    ae_noise_psd_destroy(self);
}

static void test_reset_is_new_and_no_allocation(void)
{
    ae_noise_psd *self = make(), *fresh = make();
    static process noise = {.seed = 2};
    float power[k_points];
    const uint64_t allocations = ae_allocation_count();
    for (int t = 0; t < 300; t++) {
        next(&noise, 1e-2f, power);
        ae_noise_psd_update(self, power, NULL);
    }
    ae_noise_psd_reset(self);
    for (int t = 0; t < 300; t++) {
        next(&noise, 1e-4f, power);
        if (t % 50 == 49) ae_zero(power, k_points);
        ae_noise_psd_update(self, power, NULL);
        ae_noise_psd_update(fresh, power, NULL);
        ae_noise_psd_learn_absence(self, t % 2 ? 0.5f : 0.0f);
        ae_noise_psd_learn_absence(fresh, t % 2 ? 0.5f : 0.0f);
    }
    CHECK(ae_allocation_count() == allocations);
    CHECK(memcmp(ae_noise_psd_power(self), ae_noise_psd_power(fresh), sizeof power) == 0);
    ae_noise_psd_destroy(self);
    ae_noise_psd_destroy(fresh);
}

static void test_extremes_stay_finite(void)
{
    ae_noise_psd *self = make();
    const float values[] = {0.0f, 4096.0f, 1e-38f, 0.0f, 4096.0f};
    float power[k_points];
    for (int t = 0; t < 500; t++) {
        ae_fill(power, values[t / 100], k_points);
        ae_noise_psd_update(self, power, t % 3 ? NULL : power);
        ae_noise_psd_learn_absence(self, 1.0f);
        for (int k = 0; k < k_points; k++)
            CHECK(ae_noise_psd_power(self)[k] > 0.0f && ae_noise_psd_power(self)[k] <= 1e4f);
    }
    ae_noise_psd_destroy(self);
}

int main(void)
{
    test_create_checks_every_field();
    test_unbiased_and_quick_from_cold();
    test_follows_steps();
    test_speech_is_not_learned();
    test_gusts_are_learned();
    test_foreign_power_is_not_learned();
    test_reset_is_new_and_no_allocation();
    test_extremes_stay_finite();
    return AE_TEST_RESULT();
}
