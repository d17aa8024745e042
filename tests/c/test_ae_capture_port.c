/* Truths: what a device with a clock of its own gives arrives at the bridge, channels mapped by the
 * stated rule, whatever the block; flags and heartbeat are read on another thread. Time is real
 * here, so only what does not depend on the machine's mood is checked. */
#define _GNU_SOURCE /* nanosleep */
#include "ae_capture_port.h"

#include "ae_host.h"
#include "ae_math.h"
#include "ae_test.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

enum { k_rate = 48000, k_block = 480 };

static ae_capture_port *make(int channels)
{
    const ae_clock_bridge_config config = {.input_rate_hz = k_rate,
                                           .output_rate_hz = k_rate,
                                           .channels = channels,
                                           .read_frames = k_block};
    ae_capture_port *port;
    CHECK(ae_capture_port_create(&port, &config) == AE_OK);
    return port;
}

static void test_limits(void)
{
    const ae_clock_bridge_config config = {k_rate, k_rate, 0, 0, k_block};
    ae_capture_port *port = (ae_capture_port *)&port;
    CHECK(ae_capture_port_create(&port, &config) == AE_ERROR_ARGUMENT && port == NULL);
    ae_capture_port_destroy(NULL);
}

static void sleep_until(double time_s)
{
    const double left_s = time_s - ae_host_now_s();
    if (left_s <= 0.0) return;
    const struct timespec wait = {0, (long)(1e9 * left_s)};
    nanosleep(&wait, NULL);
}

/* A device that gives 1, 2, 3 ... on its channels, in blocks of `frames`, for `seconds`; what comes
 * out last stays in `last`. */
static void run(ae_capture_port *port, int device_channels, int frames, double seconds, float *last)
{
    static float in[8 * 8192];
    static float rows[8][k_block];
    float *out[8];
    for (int c = 0; c < 8; c++) out[c] = rows[c];
    for (int i = 0; i < frames * device_channels; i++) in[i] = (float)(i % device_channels + 1);
    const double start_s = ae_host_now_s();
    for (int written = 0, read = 0; read < (int)(seconds * k_rate);) {
        const int writes = written + frames <= read;
        sleep_until(start_s + (double)(writes ? written + frames : read) / k_rate);
        if (writes) {
            ae_capture_port_callback(in, NULL, (unsigned long)frames, NULL, 0, port);
            written += frames;
        } else {
            ae_clock_bridge_read(ae_capture_port_bridge(port), out, ae_host_now_s());
            read += k_block;
        }
    }
    for (int c = 0; c < 8; c++) last[c] = rows[c][k_block - 1];
}

static void test_channels_are_mapped(void)
{
    const int pairs[][2] = {{1, 2}, {2, 1}, {2, 2}, {3, 2}};
    for (int i = 0; i < 4; i++) {
        const int channels = pairs[i][0], device_channels = pairs[i][1];
        ae_capture_port *port = make(channels);
        ae_capture_port_open(port, device_channels, 1.0);
        const uint64_t allocations = ae_allocation_count();
        float last[8];
        int heard = 0;
        for (int attempt = 0; attempt < 10 && !heard;
             attempt++) { /* the machine may have stalled */
            run(port, device_channels, k_block, 0.2, last);
            heard = 1;
            for (int c = 0; c < channels; c++)
                heard = heard && fabsf(last[c] - (float)(c % device_channels + 1)) < 1e-3f;
        }
        CHECK(heard);
        CHECK(ae_allocation_count() == allocations);
        ae_capture_port_destroy(port);
    }
}

/* The bridge must know how much comes at once, else its target is too low to live on. */
static void test_a_long_block_is_one_write(void)
{
    const int device_channels[] = {1, 2};
    for (int i = 0; i < 2; i++) {
        ae_capture_port *port = make(1);
        ae_capture_port_open(port, device_channels[i], 1.0);
        float last[8];
        run(port, device_channels[i], 2048, 0.7, last);
        ae_clock_bridge_report report;
        ae_clock_bridge_read_report(ae_capture_port_bridge(port), &report);
        CHECK(report.writing == 1);
        CHECK(report.target_frames >= k_block + 2048);
        ae_capture_port_destroy(port);
    }
}

static void *call(void *argument)
{
    static float in[100 * 2];
    for (int i = 0; i < 3000; i++) {
        ae_capture_port_callback(i % 5 == 0 ? NULL : in, NULL, 100, NULL, i % 3 == 0 ? 2 : 0,
                                 argument);
        if (i % 64 == 0) sched_yield();
    }
    return NULL;
}

static void test_counts_are_read_on_another_thread(void)
{
    ae_capture_port *port = make(1);
    ae_capture_port_open(port, 2, 1.0);
    ae_callback_report report;
    ae_capture_port_read(port, &report);
    CHECK(report.callbacks == 0);
    pthread_t device;
    CHECK(pthread_create(&device, NULL, call, port) == 0);
    int64_t seen = 0;
    int wrong = 0;
    while (seen < 3000) {
        ae_capture_port_read(port, &report);
        wrong += report.callbacks < seen || report.frames != 100 * report.callbacks;
        seen = report.callbacks;
        sched_yield();
    }
    pthread_join(device, NULL);
    CHECK(wrong == 0 && report.input_overflows == 1000);
    ae_capture_port_open(port, 2, 1.0); /* the next device: counts go on, seen from outside too */
    ae_capture_port_read(port, &report);
    CHECK(report.callbacks == 3000);
    ae_capture_port_callback(NULL, NULL, 100, NULL, 0, port);
    ae_capture_port_read(port, &report);
    CHECK(report.callbacks == 3001 && report.late_callbacks == 0);
    ae_capture_port_destroy(port);
}

int main(void)
{
    test_limits();
    test_channels_are_mapped();
    test_a_long_block_is_one_write();
    test_counts_are_read_on_another_thread();
    return AE_TEST_RESULT();
}
