/* Truths: IEC 60268-18: up at once, down 20 dB in 1.7 s; the held value stays 1.5 s. */
#include "ae_peak_meter.h"

#include "ae_math.h"
#include "ae_test.h"

enum { k_block = 480, k_rate = 48000 };

/* One block in which a single sample of the second channel is `peak`, the rest nothing. */
static void feed(ae_peak_meter *meter, float peak)
{
    float rows[2][k_block] = {{0}};
    rows[1][123] = peak;
    const float *pointers[] = {rows[0], rows[1]};
    ae_peak_meter_update(meter, pointers, 2, k_block, k_rate);
}

static void test_rises_at_once_and_falls_as_the_standard_says(void)
{
    ae_peak_meter meter = {0};
    feed(&meter, -0.8f);
    CHECK(meter.peak == 0.8f && meter.held == 0.8f);
    for (int b = 0; b < 170; b++) feed(&meter, 0.0f);
    CHECK_NEAR(ae_db_from_amplitude(meter.peak / 0.8f), -20.0, 0.01);
    feed(&meter, 0.5f);
    CHECK(meter.peak == 0.5f);
}

static void test_a_quieter_sound_does_not_stop_the_fall(void)
{
    ae_peak_meter meter = {0};
    feed(&meter, 1.0f);
    for (int b = 0; b < 85; b++) feed(&meter, 0.1f);
    CHECK_NEAR(ae_db_from_amplitude(meter.peak), -10.0, 0.01);
    for (int b = 0; b < 200; b++) feed(&meter, 0.1f);
    CHECK(meter.peak == 0.1f);
}

static void test_holds_its_maximum(void)
{
    ae_peak_meter meter = {0};
    feed(&meter, 1.0f);
    for (int b = 0; b < 149; b++) {
        feed(&meter, 0.25f);
        CHECK(meter.held == 1.0f);
    }
    feed(&meter, 0.25f);
    feed(&meter, 0.25f);
    CHECK(meter.held < 0.3f && meter.held >= meter.peak); /* down to where the meter stands */
    feed(&meter, 0.9f);
    CHECK(meter.held == 0.9f);
}

/* The fall depends on time, not on how it is cut into blocks. */
static void test_any_block_length(void)
{
    ae_peak_meter meter = {0};
    float row[4410] = {1.0f};
    const float *pointers[] = {row};
    ae_peak_meter_update(&meter, pointers, 1, 441, 44100);
    row[0] = 0.0f;
    for (int b = 0; b < 17; b++) ae_peak_meter_update(&meter, pointers, 1, 4410, 44100);
    CHECK_NEAR(ae_db_from_amplitude(meter.peak), -20.0, 0.01);
}

/* Minutes of silence after a sound; a sample that is no number. */
static void test_bad_weather(void)
{
    ae_peak_meter meter = {0};
    feed(&meter, 1.0f);
    const ae_fp_mode mode = ae_fp_enter();
    for (int b = 0; b < 20000; b++) feed(&meter, 0.0f);
    ae_fp_leave(mode);
    CHECK(meter.peak == 0.0f && meter.held == 0.0f);
    feed(&meter, NAN);
    CHECK(meter.peak == 0.0f && meter.held == 0.0f);
    feed(&meter, 0.5f);
    CHECK(meter.peak == 0.5f && meter.held == 0.5f);
}

int main(void)
{
    test_rises_at_once_and_falls_as_the_standard_says();
    test_a_quieter_sound_does_not_stop_the_fall();
    test_holds_its_maximum();
    test_any_block_length();
    test_bad_weather();
    return AE_TEST_RESULT();
}
