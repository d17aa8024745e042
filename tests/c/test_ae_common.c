/* Truths: alignment, zeroing and counting of the allocator; the floating-point mode round trip. */
#include "ae_common.h"
#include "ae_math.h"
#include "ae_test.h"

static void test_allocator(void)
{
    const uint64_t before = ae_allocation_count();
    float *memory = ae_allocate(100 * sizeof(float));
    CHECK(memory != NULL && (uintptr_t)memory % 64 == 0);
    CHECK(ae_energy(memory, 100) == 0.0f);
    CHECK(ae_allocation_count() == before + 1);
    ae_free(memory);
    ae_free(NULL);
}

static void test_arena(void)
{
    ae_arena measure = {0};
    CHECK(AE_TAKE(&measure, 3, float) == NULL && measure.used == 64);
    CHECK(AE_TAKE(&measure, 17, double) == NULL && measure.used == 64 + 192);
    ae_arena real = {ae_allocate(measure.used), 0};
    const float *first = AE_TAKE(&real, 3, float);
    const double *second = AE_TAKE(&real, 17, double);
    CHECK((const unsigned char *)first == real.base);
    CHECK((const unsigned char *)second == real.base + 64);
    ae_free(real.base);
}

static void test_denormals_flushed_only_inside(void)
{
    volatile float tiny = 1e-39f;
    CHECK(tiny * 0.5f != 0.0f);
    const ae_fp_mode mode = ae_fp_enter();
    volatile float flushed = tiny * 0.5f;
    ae_fp_leave(mode);
    volatile float kept = tiny * 0.5f;
#if defined(__SSE__) || defined(__aarch64__)
    CHECK(flushed == 0.0f);
#endif
    CHECK(kept != 0.0f);
}

static void test_math(void)
{
    CHECK(ae_max(-1.0f, 2.0f) == 2.0f && ae_min(-1.0f, 2.0f) == -1.0f);
    CHECK(ae_max(NAN, 2.0f) == 2.0f && ae_min(NAN, 2.0f) == 2.0f);
    CHECK_NEAR(ae_amplitude_from_db(-6.0206f), 0.5f, 1e-5f);
    CHECK_NEAR(ae_db_from_power(ae_power_from_db(-37.0f)), -37.0f, 1e-4f);
    CHECK_NEAR(ae_db_from_amplitude(0.0f), -200.0f, 1e-3f);
    CHECK_NEAR(ae_one_pole(10.0f, 10.0f), 1.0 - exp(-1.0), 1e-6);
    CHECK(ae_block_frames(48000) == 480 && ae_block_frames(44100) == 441 &&
          ae_block_frames(22050) == 221);
    uint32_t state = 1;
    double mean = 0.0, power = 0.0;
    for (int i = 0; i < 100000; i++) {
        const double r = (double)ae_random(&state);
        mean += r / 100000;
        power += r * r / 100000;
    }
    CHECK_NEAR(mean, 0.0, 0.01);
    CHECK_NEAR(power, 1.0 / 3.0, 0.01);
}

int main(void)
{
    test_allocator();
    test_arena();
    test_denormals_flushed_only_inside();
    test_math();
    return AE_TEST_RESULT();
}
