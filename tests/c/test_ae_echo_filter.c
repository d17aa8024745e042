#include "ae_echo_filter.h"

#include "ae_math.h"
#include "ae_test.h"

#include <stdlib.h>

enum { k_rate = 16000, k_block = 160, k_seconds = 4, k_frames = k_rate * k_seconds };

/* White far end through a known 50 ms FIR, no noise: the echo must go. */
static void test_known_path_is_identified(void)
{
    static float far[k_frames], capture[k_frames], error[k_frames];
    static float path[800];
    uint32_t seed = 1;
    for (int i = 0; i < k_frames; i++) far[i] = 0.3f * ae_random(&seed);
    for (int i = 0; i < 800; i++) path[i] = 0.2f * ae_random(&seed) * expf(-(float)i / 160.0f);
    for (int i = 0; i < k_frames; i++) {
        float sum = 0.0f;
        for (int j = 0; j < 800 && j <= i; j++) sum += path[j] * far[i - j];
        capture[i] = sum;
    }
    ae_echo_filter *filter;
    const ae_echo_filter_config config = ae_echo_filter_default_config(k_rate);
    CHECK(ae_echo_filter_create(&filter, &config) == AE_OK);
    const uint64_t before = ae_allocation_count();
    for (int i = 0; i + k_block <= k_frames; i += k_block)
        ae_echo_filter_process(filter, capture + i, far + i, error + i);
    CHECK(ae_allocation_count() == before);
    const int last = k_frames - k_rate;
    const float erle = ae_db_from_power(ae_energy(capture + last, k_rate)) -
                       ae_db_from_power(ae_energy(error + last, k_rate));
    printf("white far end: ERLE %.1f dB\n", (double)erle);
    CHECK(erle >= 40.0f);
    ae_echo_filter_destroy(filter);
}

static void test_configuration_is_checked(void)
{
    ae_echo_filter *filter;
    ae_echo_filter_config config = ae_echo_filter_default_config(7999);
    CHECK(ae_echo_filter_create(&filter, &config) == AE_ERROR_ARGUMENT && filter == NULL);
    config = ae_echo_filter_default_config(48000);
    config.tail_ms = 39;
    CHECK(ae_echo_filter_create(&filter, &config) == AE_ERROR_ARGUMENT && filter == NULL);
}

int main(void)
{
    test_known_path_is_identified();
    test_configuration_is_checked();
    return AE_TEST_RESULT();
}
