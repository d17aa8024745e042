/* Truth: known variances of a random gain. */
#include "ae_musical_noise.h"

#include "ae_math.h"
#include "ae_test.h"

enum { k_points = 257 };

static ae_musical_noise *make(void)
{
    ae_musical_noise *self = NULL;
    CHECK(ae_musical_noise_create(&self, &(ae_musical_noise_config){k_points}) == AE_OK);
    return self;
}

static void test_create_checks_every_field(void)
{
    const int bad[] = {0, -1, 65537};
    for (int i = 0; i < 3; i++) {
        ae_musical_noise *self = (ae_musical_noise *)&bad;
        CHECK(ae_musical_noise_create(&self, &(ae_musical_noise_config){bad[i]}) ==
              AE_ERROR_ARGUMENT);
        CHECK(self == NULL);
    }
    ae_musical_noise_destroy(NULL);
}

static double variance(const float *values)
{
    double sum = 0.0, squares = 0.0;
    for (int k = 0; k < k_points; k++) {
        sum += (double)values[k];
        squares += (double)(values[k] * values[k]);
    }
    return squares / k_points - sum / k_points * sum / k_points;
}

static void test_smooths_only_where_hardly_anything_is_kept(void)
{
    ae_musical_noise *self = make();
    float power[k_points], gain[k_points], before[k_points];
    uint32_t seed = 6;
    ae_fill(power, 1e-4f, k_points);
    const uint64_t allocations = ae_allocation_count();
    for (int t = 0; t < 20; t++) { /* -21 dB +- 6 dB: uniform of width 2 in log2 */
        for (int k = 0; k < k_points; k++) gain[k] = before[k] = -3.5f + ae_random(&seed);
        ae_musical_noise_smooth(self, power, gain);
        CHECK(variance(gain) < 0.15 * variance(before)); /* mean of 13 and more */
        CHECK_NEAR(gain[100], -3.5, 0.7);
        for (int k = 0; k < k_points; k++) gain[k] = before[k] = -1.0f + ae_random(&seed);
        ae_musical_noise_smooth(self, power, gain); /* keeps a third of the power: speech */
        CHECK(memcmp(gain, before, sizeof gain) == 0);
    }
    ae_zero(power, k_points); /* silence changes nothing and divides by nothing */
    for (int k = 0; k < k_points; k++) gain[k] = -3.0f;
    ae_musical_noise_smooth(self, power, gain);
    for (int k = 0; k < k_points; k++) CHECK_NEAR(gain[k], -3.0, 1e-5);
    CHECK(ae_allocation_count() == allocations);
    ae_musical_noise_destroy(self);
}

int main(void)
{
    test_create_checks_every_field();
    test_smooths_only_where_hardly_anything_is_kept();
    return AE_TEST_RESULT();
}
