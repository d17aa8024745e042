/* Truths: PortAudio's flags are counted one by one, priming is no xrun; a callback later than the
 * buffer lasts is late, at any clock; delays follow the host's times and survive a mad one. */
#include "ae_callback.h"

#include "ae_test.h"

enum { k_input_underflow = 1, k_input_overflow = 2, k_output_underflow = 4, k_output_overflow = 8 };
enum { k_priming = 16 };

static void test_flags_are_counted(void)
{
    ae_callback callback = {0};
    ae_callback_open(&callback, 1.0, 0);
    const unsigned long flags[] = {0, k_input_underflow, k_input_overflow, k_output_underflow,
                                   k_output_overflow, k_input_overflow | k_output_underflow,
                                   /* while the device's buffer is filled: no xrun */
                                   k_priming, k_priming | k_output_underflow,
                                   /* bits that nobody has defined */
                                   1ul << 5, 1ul << 31};
    const int seen[] = {0, 2, 2, 2, 2, 2, 0, 0, 0, 0};
    for (int i = 0; i < 10; i++)
        CHECK(ae_callback_enter(&callback, 1.0 + 0.01 * i, 480, NULL, flags[i]) == seen[i]);
    const ae_callback_report *report = &callback.report;
    CHECK(report->input_underflows == 1 && report->input_overflows == 2);
    CHECK(report->output_underflows == 2 && report->output_overflows == 1);
    CHECK(report->callbacks == 10 && report->frames == 4800 && report->late_callbacks == 0);
}

static void test_late_callbacks(void)
{
    ae_callback callback = {0};
    ae_callback_open(&callback, 0.030, 0);
    double now_s = 1e6;
    CHECK(ae_callback_enter(&callback, now_s, 480, NULL, 0) == 0); /* the first is never late */
    const double gaps_s[] = {0.010, 0.0299, 0.0301, 0.0, 0.5, 0.010};
    const int late[] = {0, 0, 1, 0, 1, 0};
    for (int i = 0; i < 6; i++) {
        now_s += gaps_s[i];
        CHECK(ae_callback_enter(&callback, now_s, 480, NULL, 0) ==
              (late[i] ? AE_CALLBACK_LATE : 0));
    }
    CHECK(callback.report.late_callbacks == 2);
    now_s += 0.5;
    CHECK(ae_callback_enter(&callback, now_s, 480, NULL, k_output_underflow) ==
          (AE_CALLBACK_LATE | AE_CALLBACK_FLAGGED));
    ae_callback_open(&callback, 0.030, 0); /* another device: its first one is not late either */
    CHECK(ae_callback_enter(&callback, now_s + 60.0, 480, NULL, 0) == 0);
    CHECK(callback.report.late_callbacks == 3 && callback.report.callbacks == 9);
}

static void test_delays_follow_the_host(void)
{
    ae_callback callback = {0};
    ae_callback_open(&callback, 1.0, 0);
    double time[] = {5.0 - 0.012, 5.0, 5.0 + 0.030}; /* converter in, now, converter out */
    ae_callback_enter(&callback, 1.0, 480, time, 0);
    CHECK_NEAR(callback.report.input_delay_s, 0.012, 1e-9);
    CHECK_NEAR(callback.report.output_delay_s, 0.030, 1e-9);
    time[2] = 5.0 + 0.020;
    for (int i = 0; i < 50; i++) ae_callback_enter(&callback, 1.0 + 0.01 * i, 480, time, 0);
    CHECK_NEAR(callback.report.output_delay_s, 0.020 + 0.010 * exp(-1.0), 2e-4); /* half a second */
    const double mad[][3] = {
        {0, 0, 0}, {9, 5, 1}, {-1e9, 5, 1e9}, {NAN, NAN, NAN}, {-INFINITY, 0, INFINITY}};
    const double before_s = callback.report.output_delay_s;
    for (int i = 0; i < 5; i++) ae_callback_enter(&callback, 2.0, 480, mad[i], 0);
    CHECK(callback.report.output_delay_s == before_s);
    CHECK_NEAR(callback.report.input_delay_s, 0.012, 1e-9);
    ae_callback_open(&callback, 1.0, 0);
    CHECK(callback.report.input_delay_s == 0.0 && callback.report.output_delay_s == 0.0);
}

static void test_priority_only_where_it_is_wanted(void)
{
    ae_callback callback = {0};
    ae_callback_open(&callback, 1.0, 0);
    ae_callback_enter(&callback, 1.0, 480, NULL, 0);
    CHECK(callback.report.priority == 0);
}

int main(void)
{
    test_flags_are_counted();
    test_late_callbacks();
    test_delays_follow_the_host();
    test_priority_only_where_it_is_wanted();
    return AE_TEST_RESULT();
}
