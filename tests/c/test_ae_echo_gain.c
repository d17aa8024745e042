/* Truths: the rule's own limits: untouched, closed, and open again within one hop. */
#include "ae_echo_gain.h"

#include "ae_math.h"
#include "ae_test.h"

enum { k_bins = 129 };

static ae_echo_gain *make(void)
{
    ae_echo_gain *self = NULL;
    CHECK(ae_echo_gain_create(&self, &(ae_echo_gain_config){k_bins}) == AE_OK);
    return self;
}

static void test_create_checks_every_field(void)
{
    const int bad[] = {1, -4, 65537};
    for (int i = 0; i < 3; i++) {
        ae_echo_gain *self = (ae_echo_gain *)&bad;
        CHECK(ae_echo_gain_create(&self, &(ae_echo_gain_config){bad[i]}) == AE_ERROR_ARGUMENT);
        CHECK(self == NULL);
    }
    ae_echo_gain_destroy(NULL);
}

static void test_closes_on_echo_and_opens_for_the_near_end(void)
{
    ae_echo_gain *self = make();
    float power[k_bins], residual[k_bins], presence[k_bins], gain[k_bins];
    ae_fill(power, 1e-3f, k_bins);
    ae_zero(residual, k_bins);
    ae_fill(presence, 1.0f, k_bins);
    for (int t = 0; t < 5; t++) ae_echo_gain_update(self, power, residual, presence, gain);
    for (int k = 0; k < k_bins; k++) CHECK(gain[k] == 1.0f); /* no echo: nothing is touched */
    ae_fill(residual, 1e-3f, k_bins);
    ae_zero(presence, k_bins);
    for (int t = 0; t < 10; t++) ae_echo_gain_update(self, power, residual, presence, gain);
    for (int k = 0; k < k_bins; k++) CHECK(gain[k] < 0.01f); /* echo alone: more than 40 dB */
    ae_fill(power, 1e-1f, k_bins);
    ae_fill(presence, 1.0f, k_bins);
    ae_echo_gain_update(self, power, residual, presence, gain);
    for (int k = 0; k < k_bins; k++) CHECK(gain[k] > 0.7f); /* a talker 20 dB above it: open */
    ae_echo_gain_destroy(self);
}

static void test_reset_is_new_and_bad_weather(void)
{
    ae_echo_gain *self = make(), *fresh = make();
    float power[k_bins], residual[k_bins], presence[k_bins], a[k_bins], b[k_bins];
    const float levels[] = {0.0f, 4096.0f, 1e-38f};
    const uint64_t allocations = ae_allocation_count();
    for (int t = 0; t < 27; t++) {
        ae_fill(power, levels[t % 3], k_bins);
        ae_fill(residual, levels[t / 3 % 3], k_bins);
        ae_fill(presence, (float)(t / 9) * 0.5f, k_bins);
        ae_echo_gain_update(self, power, residual, presence, a);
        for (int k = 0; k < k_bins; k++) CHECK(a[k] >= 0.0f && a[k] <= 1.0f);
    }
    ae_echo_gain_reset(self);
    uint32_t seed = 4;
    for (int t = 0; t < 10; t++) {
        for (int k = 0; k < k_bins; k++) power[k] = 1.0f + ae_random(&seed);
        ae_fill(residual, 0.5f, k_bins);
        ae_echo_gain_update(self, power, residual, presence, a);
        ae_echo_gain_update(fresh, power, residual, presence, b);
        CHECK(memcmp(a, b, sizeof a) == 0);
    }
    CHECK(ae_allocation_count() == allocations);
    ae_echo_gain_destroy(self);
    ae_echo_gain_destroy(fresh);
}

int main(void)
{
    test_create_checks_every_field();
    test_closes_on_echo_and_opens_for_the_near_end();
    test_reset_is_new_and_bad_weather();
    return AE_TEST_RESULT();
}
