/* Truth: simulated devices whose exact clock is known. */
#include "ae_common.h"
#include "ae_devices.h"
#include "ae_dll.h"
#include "ae_test.h"

static const ae_device k_reader = {
    .rate_hz = 48000, .ppm = 200.0, .block_frames = 480, .start_s = 5000.0};

static ae_dll *make(int rate_hz)
{
    const ae_dll_config config = {rate_hz};
    ae_dll *self = NULL;
    CHECK(ae_dll_create(&self, &config) == AE_OK);
    return self;
}

static void test_create_checks_every_field(void)
{
    const ae_dll_config bad[] = {{7999}, {192001}, {0}, {-48000}};
    for (int i = 0; i < 4; i++) {
        ae_dll *self = (ae_dll *)&bad;
        CHECK(ae_dll_create(&self, &bad[i]) == AE_ERROR_ARGUMENT && self == NULL);
    }
    ae_dll_destroy(NULL);
}

static void run(ae_dll *self, ae_device_thread *thread, double until_s)
{
    while (thread->next_s < until_s) {
        ae_device_woke(thread);
        ae_dll_update(self, thread->now_s, thread->blocks * thread->device.block_frames);
    }
}

static ae_dll_report report_of(const ae_dll *self)
{
    ae_dll_report report;
    ae_dll_read(self, &report);
    return report;
}

/* How far the line lies above the device's own, now. */
static double phase_error_s(const ae_dll *self, const ae_device_thread *thread)
{
    const double frames = (double)(thread->blocks * thread->device.block_frames);
    return ae_dll_time_of(self, frames) - ae_device_time_of(thread, frames);
}

/* Block sizes and kinds of lateness: slope, lower edge and lateness after half a minute. */
static void test_the_clock_behind_the_wake_ups_is_found(void)
{
    const struct {
        int block, burst;
        ae_lateness shape;
        double late_s, ppm_within, edge_within_s, lateness_from_s, lateness_to_s;
    } cases[] = {
        {480, 1, AE_ON_TIME, 0.0, 0.5, 5e-6, 0.0, 5e-6},
        {120, 1, AE_ON_TIME, 0.0, 0.5, 5e-6, 0.0, 5e-6},
        {480, 1, AE_UNIFORM, 1e-3, 2.0, 2e-4, 0.7e-3, 1e-3},
        {120, 1, AE_UNIFORM, 1e-3, 1.0, 1e-4, 0.9e-3, 1.1e-3},
        {480, 1, AE_HALF_NORMAL, 1e-3, 2.0, 2e-4, 2e-3, 4.5e-3},
        {480, 1, AE_EXPONENTIAL, 1e-3, 2.0, 2e-4, 4e-3, 12e-3},
        {120, 1, AE_SAWTOOTH, 2.5e-3, 1.0, 4e-4, 2.4e-3, 2.6e-3},
        {480, 2, AE_ON_TIME, 0.0, 0.5, 5e-5, 9e-3, 11e-3},
        {480, 2, AE_UNIFORM, 5e-4, 2.0, 2e-4, 9e-3, 11e-3},
        {120, 8, AE_UNIFORM, 5e-4, 2.0, 7e-4, 17e-3, 18.5e-3},
        {4096, 1, AE_UNIFORM, 1e-3, 12.0, 6e-4, 0.0, 1e-3},
    };
    for (int i = 0; i < (int)(sizeof(cases) / sizeof(cases[0])); i++)
        for (int sign = -1; sign <= 1; sign += 2) {
            ae_device device = {48000,          300.0 * sign,    cases[i].block, 5000.0,
                                cases[i].shape, cases[i].late_s, cases[i].burst};
            ae_device_thread thread = ae_device_open(device, 77, 5000.0);
            ae_dll *self = make(48000);
            run(self, &thread, 5030.0);
            const ae_dll_report report = report_of(self);
            CHECK(report.ready && report.settled && report.locked && report.steps <= 2);
            CHECK_NEAR(report.rate_ppm, device.ppm, cases[i].ppm_within);
            CHECK(phase_error_s(self, &thread) > -2e-5 &&
                  phase_error_s(self, &thread) < cases[i].edge_within_s);
            CHECK(report.lateness_s >= cases[i].lateness_from_s - 1e-4 &&
                  report.lateness_s <= cases[i].lateness_to_s);
            const double frames = 1e6;
            CHECK_NEAR(ae_dll_frames_at(self, ae_dll_time_of(self, frames)), frames, 1e-3);
            ae_dll_destroy(self);
        }
}

static void test_jitter_is_the_sigma_of_the_lateness(void)
{
    ae_device device = k_reader;
    device.shape = AE_UNIFORM, device.late_s = 1e-3;
    ae_device_thread thread = ae_device_open(device, 3, 5000.0);
    ae_dll *self = make(48000);
    run(self, &thread, 5030.0);
    CHECK_NEAR(report_of(self).jitter_s, 1e-3 / sqrt(12.0), 4e-5);
    ae_dll_destroy(self);
}

/* Nobody is woken for 60 ms, then everybody at once; no frame is lost. */
static void test_a_stall_moves_nothing(void)
{
    const int blocks[] = {120, 480};
    for (int i = 0; i < 2; i++) {
        ae_device device = k_reader;
        device.block_frames = blocks[i], device.shape = AE_UNIFORM, device.late_s = 2e-4;
        ae_device_thread thread = ae_device_open(device, 3, 5000.0);
        ae_dll *self = make(48000);
        for (int stall = 0; stall < 4; stall++) {
            run(self, &thread, 5030.0 + 3.0 * stall);
            const double before_s = phase_error_s(self, &thread);
            const double ppm_before = report_of(self).rate_ppm;
            ae_device_stall(&thread, thread.now_s, 0.06);
            run(self, &thread, thread.now_s + 0.5);
            CHECK_NEAR(phase_error_s(self, &thread), before_s, 1e-5);
            CHECK_NEAR(report_of(self).rate_ppm, ppm_before, 0.2);
        }
        CHECK(report_of(self).steps == 0 && report_of(self).settled);
        CHECK(report_of(self).lateness_s <= 5e-3); /* four in ten seconds count as no more */
        ae_dll_destroy(self);
    }
}

/* A device that loses frames is later for good: the line follows at once, the slope stays. */
static void test_lost_frames_are_a_step(void)
{
    const double lost_s[] = {0.02, 0.06, 3.0};
    for (int i = 0; i < 3; i++) {
        ae_device device = k_reader;
        device.shape = AE_UNIFORM, device.late_s = 2e-4;
        ae_device_thread thread = ae_device_open(device, 3, 5000.0);
        ae_dll *self = make(48000);
        run(self, &thread, 5030.0);
        ae_device_lose(&thread, lost_s[i]);
        run(self, &thread, thread.now_s + lost_s[i] + 0.08);
        CHECK(report_of(self).steps == 1 && report_of(self).settled);
        CHECK_NEAR(phase_error_s(self, &thread), 0.0, 2e-4);
        CHECK_NEAR(report_of(self).rate_ppm, device.ppm, 1.0);
        run(self, &thread, thread.now_s + 10.0);
        CHECK_NEAR(phase_error_s(self, &thread), 0.0, 5e-5);
        CHECK_NEAR(report_of(self).rate_ppm, device.ppm, 1.0);
        ae_dll_destroy(self);
    }
}

static void test_a_clock_that_changes_is_followed(void)
{
    ae_device_thread thread = ae_device_open(k_reader, 3, 5000.0);
    ae_dll *self = make(48000);
    run(self, &thread, 5200.0);
    /* 5 ppm faster from here on. */
    thread.device.start_s = thread.now_s;
    const int64_t frames = thread.blocks * 480;
    thread.blocks = 0;
    thread.device.ppm += 5.0;
    ae_device_plan(&thread);
    double worst_s = 0.0;
    while (thread.now_s < 5500.0) {
        ae_device_woke(&thread);
        ae_dll_update(self, thread.now_s, frames + thread.blocks * 480);
        const double count = (double)(thread.blocks * 480);
        const double off_s =
            ae_dll_time_of(self, (double)frames + count) - ae_device_time_of(&thread, count);
        worst_s = fmax(worst_s, fabs(off_s));
    }
    CHECK(worst_s < 1.2e-4); /* 0.46 of the step over the loop's frequency (0.031 rad/s) */
    CHECK_NEAR(report_of(self).rate_ppm, 205.0, 0.1);
    CHECK(report_of(self).steps == 0);
    ae_dll_destroy(self);
}

static void test_restart_keeps_the_slope_and_reset_forgets_it(void)
{
    ae_device_thread thread = ae_device_open(k_reader, 3, 5000.0);
    ae_dll *self = make(48000), *fresh = make(48000);
    const uint64_t allocations = ae_allocation_count();
    run(self, &thread, 5030.0);
    ae_dll_restart(self);
    CHECK(!report_of(self).ready);
    CHECK_NEAR(report_of(self).rate_ppm, 200.0, 0.2);
    thread = ae_device_open(k_reader, 3, 5000.0);
    run(self, &thread, 5000.3);
    CHECK(report_of(self).ready);
    CHECK_NEAR(report_of(self).rate_ppm, 200.0, 0.2);

    ae_dll_reset(self);
    CHECK(report_of(self).rate_ppm == 0.0 && report_of(self).lateness_s == 0.0);
    ae_device device = k_reader;
    device.shape = AE_EXPONENTIAL, device.late_s = 1e-3;
    thread = ae_device_open(device, 9, 5000.0);
    ae_device_thread again = ae_device_open(device, 9, 5000.0);
    for (double until_s = 5000.0; until_s < 5010.0; until_s += 0.3) {
        run(self, &thread, until_s);
        run(fresh, &again, until_s);
        CHECK(phase_error_s(self, &thread) == phase_error_s(fresh, &again));
    }
    CHECK(ae_allocation_count() == allocations);
    ae_dll_destroy(self);
    ae_dll_destroy(fresh);
}

/* Clocks that no device has: the numbers stay finite, and a good clock is found again. */
static void test_bad_weather(void)
{
    ae_dll *self = make(48000);
    uint32_t seed = 5;
    int64_t frames = 0;
    for (int i = 0; i < 200000; i++) {
        const double kinds[] = {5000.0, 5000.0 + 1e3 * (double)ae_random(&seed), NAN, INFINITY,
                                -1e6 * i};
        frames += i % 7 == 0 ? 0 : i % 11 == 0 ? -480 : 480;
        ae_dll_update(self, kinds[i / 1000 % 5], frames);
        CHECK(isfinite(ae_dll_time_of(self, 1e6)) && isfinite(ae_dll_frames_at(self, 5000.0)));
        CHECK(fabs(report_of(self).rate_ppm) <= 5100.0 && isfinite(report_of(self).jitter_s));
    }
    ae_dll_reset(self);
    ae_device_thread thread = ae_device_open(k_reader, 3, 5000.0);
    run(self, &thread, 5030.0);
    CHECK_NEAR(report_of(self).rate_ppm, 200.0, 0.2);
    ae_dll_destroy(self);
}

int main(void)
{
    test_create_checks_every_field();
    test_the_clock_behind_the_wake_ups_is_found();
    test_jitter_is_the_sigma_of_the_lateness();
    test_a_stall_moves_nothing();
    test_lost_frames_are_a_step();
    test_a_clock_that_changes_is_followed();
    test_restart_keeps_the_slope_and_reset_forgets_it();
    test_bad_weather();
    return AE_TEST_RESULT();
}
