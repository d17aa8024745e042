/* Truths: two simulated devices with exact clocks. The input is a sine of the writer's frames, so
 * the phase of the output tells, from outside, where the bridge reads, to 0.001 samples.
 * With an argument it prints what it measured. */
#define _POSIX_C_SOURCE 200809L
#define _DEFAULT_SOURCE /* setitimer */
#include "ae_clock_bridge.h"
#include "ae_common.h"
#include "ae_devices.h"
#include "ae_test.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__)
/* What has one thread is for the others: here it takes minutes, and signals are held back. */
enum { k_sanitized = 1, k_kills = 0, k_threads_only = 1 };
#elif defined(__SANITIZE_ADDRESS__)
enum { k_sanitized = 1, k_kills = 100, k_threads_only = 0 };
#else
enum { k_sanitized = 0, k_kills = 1000, k_threads_only = 0 };
#endif

enum { k_max_frames = 4096, k_max_rate_hz = 48000, k_fit_every = 3 };

static const double k_two_pi = 6.283185307179586;
static int verbose;

/* --- two devices and a bridge ------------------------------------------------------------------
 */

typedef struct {
    ae_clock_bridge *bridge;
    ae_device_thread writer, reader;
    int writing, reading; /* 0: that side is dead */
    double tone_hz;       /* in the writer's nominal time; 0: an impulse each second */
    float tone[k_max_rate_hz / 100], in[k_max_frames], out[k_max_frames];
    float last_sample;
    double click; /* the largest step between two output samples */
    ae_clock_bridge_report report;
} rig;

static double radians(const rig *l) { return k_two_pi * l->tone_hz / l->writer.device.rate_hz; }

static rig connect_devices(ae_device writer, ae_device reader)
{
    const ae_clock_bridge_config config = {writer.rate_hz, reader.rate_hz, 1, writer.block_frames,
                                           reader.block_frames};
    rig l = {.writing = 1, .reading = 1, .tone_hz = 1000.0};
    CHECK(ae_clock_bridge_create(&l.bridge, &config) == AE_OK);
    l.writer = ae_device_open(writer, 11, 0.0);
    l.reader = ae_device_open(reader, 12, 0.0);
    for (int i = 0; i < writer.rate_hz / 100; i++) l.tone[i] = (float)(0.5 * sin(radians(&l) * i));
    return l;
}

/* Ten periods of 1 kHz are a whole number of frames at every rate. */
static void write_once(rig *l)
{
    const int frames = l->writer.device.block_frames, rate_hz = l->writer.device.rate_hz;
    const int64_t first = l->writer.blocks * frames;
    for (int i = 0; i < frames; i++)
        l->in[i] = l->tone_hz > 0.0 ? l->tone[(first + i) % (rate_hz / 100)]
                                    : (float)((first + i) % rate_hz == 0);
    ae_device_woke(&l->writer);
    ae_clock_bridge_write(l->bridge, l->in, frames, l->writer.now_s);
}

static void read_once(rig *l)
{
    float *const out[1] = {l->out};
    ae_device_woke(&l->reader);
    ae_clock_bridge_read(l->bridge, out, l->reader.now_s);
    ae_clock_bridge_read_report(l->bridge, &l->report);
    for (int i = 0; i < l->reader.device.block_frames; i++) {
        l->click = fmax(l->click, fabs((double)l->out[i] - (double)l->last_sample));
        l->last_sample = l->out[i];
    }
}

/* Runs both sides in the order of time, to the next read; 0 when that is after until_s. */
static int run_one(rig *l, double until_s)
{
    while (l->writer.next_s <= l->reader.next_s) {
        if (l->writer.next_s > until_s) return 0;
        if (l->writing)
            write_once(l);
        else
            ae_device_woke(&l->writer);
    }
    if (l->reader.next_s > until_s) return 0;
    if (l->reading)
        read_once(l);
    else
        ae_device_woke(&l->reader);
    return 1;
}

static void run(rig *l, double until_s)
{
    while (run_one(l, until_s)) continue;
}

/* --- what the output tells ---------------------------------------------------------------------
 */

typedef struct {
    double phase, amplitude, snr_db;
} tone_fit;

enum { k_terms = 4 };

static void solve(double m[k_terms][k_terms + 1])
{
    for (int p = 0; p < k_terms; p++)
        for (int r = 0; r < k_terms; r++) {
            if (r == p) continue;
            const double share = m[r][p] / m[p][p];
            for (int c = p; c <= k_terms; c++) m[r][c] -= share * m[p][c];
        }
}

/* Least squares of (a + b n) sin + (c + d n) cos: a sine whose frequency is known to some ppm. The
 * phase is that of frame 0 of the block. */
static tone_fit fit_tone(const float *y, int frames, double step)
{
    double m[k_terms][k_terms + 1] = {{0}}, power = 0.0, fitted = 0.0, yb[k_terms] = {0};
    for (int n = 0; n < frames; n++) {
        const double s = sin(step * n), c = cos(step * n), at = (n - 0.5 * frames) / frames;
        const double basis[k_terms] = {s, c, at * s, at * c}, v = (double)y[n];
        for (int i = 0; i < k_terms; i++) {
            for (int j = 0; j < k_terms; j++) m[i][j] += basis[i] * basis[j];
            m[i][k_terms] += basis[i] * v;
        }
        power += v * v;
    }
    for (int i = 0; i < k_terms; i++) yb[i] = m[i][k_terms];
    solve(m);
    for (int i = 0; i < k_terms; i++) fitted += yb[i] * m[i][k_terms] / m[i][i];
    const double a = m[0][k_terms] / m[0][0], b = m[1][k_terms] / m[1][1];
    return (tone_fit){atan2(b, a), sqrt(a * a + b * b),
                      10.0 * log10(power / fmax(power - fitted, 1e-30))};
}

/* The read position against the writer's true clock, in input frames: how old the first frame of
 * the block is, but for whole periods of the tone. */
static double age_of_block(const rig *l, const tone_fit *fit)
{
    const double start = (double)((l->reader.blocks - 1) * l->reader.device.block_frames);
    const double time_s = ae_device_time_of(&l->reader, start + l->reader.device.block_frames);
    return ae_device_frames_at(&l->writer, time_s) - fit->phase / radians(l);
}

static tone_fit fit_block(const rig *l)
{
    const double ratio = (1.0 + 1e-6 * l->writer.device.ppm) / (1.0 + 1e-6 * l->reader.device.ppm);
    return fit_tone(l->out, l->reader.device.block_frames,
                    k_two_pi * l->tone_hz / l->reader.device.rate_hz * ratio);
}

typedef struct {
    double sound_s, lock_s;
    double ppm_error;  /* worst after 30 s */
    double fill_error; /* worst after lock, frames */
    double snr_db;     /* worst after 10 s */
    double wander,
        usual_wander;  /* p-p in 10 s after 60 s, input frames: worst and median-like mean */
    double told_error; /* told latency against the true one, frames, worst after 10 s */
    int64_t underruns; /* after lock */
} findings;

static findings watch(rig *l, double seconds)
{
    findings f = {.sound_s = -1.0, .lock_s = -1.0, .snr_db = 999.0};
    const double true_ppm =
        1e6 * ((1.0 + 1e-6 * l->writer.device.ppm) / (1.0 + 1e-6 * l->reader.device.ppm) - 1.0);
    const double period = k_two_pi / radians(l);
    double age = 0.0, low = 1e9, high = -1e9, window_s = 60.0, sum = 0.0;
    int windows = 0;
    int64_t underruns = 0;
    while (run_one(l, seconds)) {
        const double now_s = l->reader.now_s;
        if (f.sound_s < 0.0 && fabsf(l->last_sample) > 0.0f) f.sound_s = now_s;
        if (f.lock_s < 0.0) {
            if (l->report.locked) f.lock_s = now_s;
            underruns = l->report.underruns;
            continue;
        }
        f.fill_error = fmax(f.fill_error,
                            fabs((double)l->report.fill_frames - (double)l->report.target_frames));
        if (now_s < 10.0 || l->reader.blocks % k_fit_every != 0) continue;
        const tone_fit fit = fit_block(l);
        const double wrapped = age_of_block(l, &fit);
        age = wrapped - period * round((wrapped - age) / period);
        f.snr_db = fmin(f.snr_db, fit.snr_db);
        const double told = 1e-3 * (double)l->report.latency_ms * l->writer.device.rate_hz;
        const double error = told - wrapped;
        f.told_error = fmax(f.told_error, fabs(error - period * round(error / period)));
        if (now_s > 30.0) f.ppm_error = fmax(f.ppm_error, fabs(l->report.drift_ppm - true_ppm));
        if (now_s < 60.0) continue;
        low = fmin(low, age);
        high = fmax(high, age);
        if (now_s - window_s < 10.0) continue;
        if (verbose > 1)
            printf("    %4.0f s: wander %.3f ppm error %.3f fill %.1f target %.1f\n", now_s,
                   high - low, l->report.drift_ppm - true_ppm, (double)l->report.fill_frames,
                   (double)l->report.target_frames);
        f.wander = fmax(f.wander, high - low);
        sum += high - low;
        windows++;
        low = high = age;
        window_s = now_s;
    }
    f.underruns = l->report.underruns - underruns;
    f.usual_wander = windows > 0 ? sum / windows : 0.0;
    return f;
}

/* --- tests -------------------------------------------------------------------------------------
 */

static void test_create_checks_every_field(void)
{
    const ae_clock_bridge_config bad[] = {
        {7999, 48000, 1, 480, 480},   {48000, 192001, 1, 480, 480}, {96001, 8000, 1, 480, 480},
        {48000, 48000, 0, 480, 480},  {48000, 48000, 9, 480, 480},  {48000, 48000, 1, -1, 480},
        {48000, 48000, 1, 4097, 480}, {48000, 48000, 1, 480, 15},   {48000, 48000, 1, 480, 4097},
        {0, 48000, 1, 480, 480},      {48000, -1, 1, 480, 480}};
    for (int i = 0; i < (int)(sizeof(bad) / sizeof(bad[0])); i++) {
        ae_clock_bridge *self = (ae_clock_bridge *)&bad;
        CHECK(ae_clock_bridge_create(&self, &bad[i]) == AE_ERROR_ARGUMENT && self == NULL);
    }
    ae_clock_bridge_destroy(NULL);
}

typedef struct {
    const char *name;
    ae_device writer, reader;
    double seconds;
    double latency_ms; /* at most, at the end */
    double wander, usual_wander;
} scene;

/* Quiet and busy machines, at most 10 minutes each: no underrun after lock, and the read position
 * moves evenly. */
static void test_the_devices_stay_together(void)
{
    const scene scenes[] = {
        {"quiet +300",
         {48000, 300, 120, 0, AE_ON_TIME, 0, 1},
         {48000, 0, 480, 0.0137, AE_ON_TIME, 0, 1},
         300,
         15.3,
         0.04,
         0.03},
        {"quiet -300",
         {48000, -150, 120, 0, AE_ON_TIME, 0, 1},
         {48000, 150, 480, 0.0137, AE_ON_TIME, 0, 1},
         120,
         15.3,
         0.04,
         0.03},
        {"same clock",
         {48000, 0, 120, 0, AE_UNIFORM, 1e-4, 1},
         {48000, 0, 480, 0.0137, AE_UNIFORM, 1e-4, 1},
         120,
         15.3,
         0.1,
         0.02},
        {"1 ms uniform",
         {48000, -300, 120, 0, AE_UNIFORM, 1e-3, 1},
         {48000, 0, 480, 0.0137, AE_UNIFORM, 1e-3, 1},
         600,
         15.3,
         0.5,
         0.1},
        {"0.4 ms half-normal",
         {48000, 100, 120, 0, AE_HALF_NORMAL, 4e-4, 1},
         {48000, 0, 480, 0.0137, AE_HALF_NORMAL, 4e-4, 1},
         600,
         15.3,
         0.5,
         0.1},
        {"0.3 ms exponential",
         {48000, 100, 120, 0, AE_EXPONENTIAL, 3e-4, 1},
         {48000, -100, 480, 0.0137, AE_EXPONENTIAL, 3e-4, 1},
         120,
         17.5,
         30.0,
         0.8},
        {"sawtooth",
         {48000, -150, 120, 0, AE_SAWTOOTH, 2.5e-3, 1},
         {48000, 150, 480, 0.0137, AE_UNIFORM, 1e-4, 1},
         120,
         17.0,
         0.5,
         0.1},
        {"pairs",
         {48000, 100, 480, 0, AE_UNIFORM, 1e-4, 2},
         {48000, -100, 480, 0.0137, AE_UNIFORM, 1e-4, 2},
         120,
         34.5,
         0.5,
         0.1},
        {"eights",
         {48000, 100, 120, 0, AE_UNIFORM, 1e-4, 8},
         {48000, -100, 480, 0.0137, AE_UNIFORM, 1e-4, 1},
         120,
         38.0,
         0.5,
         0.2},
        {"44.1 to 48 kHz",
         {44100, 60, 441, 0, AE_UNIFORM, 3e-4, 1},
         {48000, -60, 480, 0.0137, AE_UNIFORM, 3e-4, 1},
         120,
         23.5,
         0.5,
         0.05},
        {"16 to 48 kHz",
         {16000, 60, 160, 0, AE_UNIFORM, 3e-4, 1},
         {48000, -60, 480, 0.0137, AE_UNIFORM, 3e-4, 1},
         120,
         24.2,
         0.2,
         0.05},
        {"48 to 16 kHz",
         {48000, 60, 256, 0, AE_UNIFORM, 3e-4, 1},
         {16000, -60, 160, 0.0137, AE_UNIFORM, 3e-4, 1},
         120,
         19.5,
         0.2,
         0.05},
        {"1024 and 480",
         {48000, 60, 1024, 0, AE_UNIFORM, 3e-4, 1},
         {48000, -60, 480, 0.0137, AE_UNIFORM, 3e-4, 1},
         120,
         34.8,
         0.5,
         0.1},
    };
    for (int i = 0; i < (int)(sizeof(scenes) / sizeof(scenes[0])); i++) {
        const scene *s = &scenes[i];
        if (k_sanitized && i % 4 != 0) continue;
        rig l = connect_devices(s->writer, s->reader);
        const uint64_t allocations = ae_allocation_count();
        const findings f = watch(&l, k_sanitized ? 32.0 : s->seconds);
        CHECK(ae_allocation_count() == allocations);
        if (verbose)
            printf(
                "%-19s sound %.2f s lock %.2f s ppm error %.2f fill error %.1f SNR %.1f dB wander "
                "%.3f (%.3f) latency %.2f ms (told within %.2f frames) jitter %.2f ms\n",
                s->name, f.sound_s, f.lock_s, f.ppm_error, f.fill_error, f.snr_db, f.wander,
                f.usual_wander, (double)l.report.latency_ms, f.told_error,
                (double)l.report.jitter_ms);
        CHECK(f.sound_s > 0.0 && f.sound_s < 0.35 && f.lock_s > 0.0 && f.lock_s < 3.3);
        CHECK(f.underruns == 0 && l.report.underruns <= 1 && l.report.overruns == 0);
        CHECK(f.ppm_error <= 2.0);
        CHECK(f.fill_error < 24);
        CHECK(f.snr_db > 80.0);
        CHECK((double)l.report.latency_ms <= s->latency_ms);
        CHECK(f.wander <= s->wander && f.usual_wander <= s->usual_wander);
        CHECK(l.report.locked && l.report.writing);
        ae_clock_bridge_destroy(l.bridge);
    }
}

static const ae_device k_writer = {48000, 80, 120, 0, AE_UNIFORM, 2e-4, 1};
static const ae_device k_reader = {48000, -70, 480, 0.0137, AE_UNIFORM, 2e-4, 1};

/* An impulse per second of the writer: where it comes out is the latency, whole. */
static void test_the_told_latency_is_the_true_one(void)
{
    rig l = connect_devices(k_writer, k_reader);
    l.tone_hz = 0.0;
    int found = 0;
    while (run_one(&l, 30.0)) {
        int peak = 0;
        for (int i = 1; i < 480; i++)
            if (fabsf(l.out[i]) > fabsf(l.out[peak])) peak = i;
        if (l.reader.now_s < 10.0 || fabsf(l.out[peak]) < 0.6f || peak < 2 || peak > 477) continue;
        /* The parabola through the three largest samples: within 0.1 samples of a sinc's peak. */
        const double a = (double)l.out[peak - 1], b = (double)l.out[peak],
                     c = (double)l.out[peak + 1];
        const double place = peak + 0.5 * (a - c) / (a - 2.0 * b + c);
        const double block_s = ae_device_time_of(&l.reader, (double)(l.reader.blocks * 480));
        const double written = ae_device_frames_at(&l.writer, block_s);
        const double age = written - round((written - 600.0) / 48000.0) * 48000.0;
        CHECK_NEAR(age + place, 48.0 * (double)l.report.latency_ms, 6.0);
        found++;
    }
    CHECK(found > 10);
    ae_clock_bridge_destroy(l.bridge);
}

static double age_now(const rig *l)
{
    const tone_fit fit = fit_block(l);
    return age_of_block(l, &fit);
}

/* a - b but for whole periods of the tone. */
static double apart(const rig *l, double a, double b)
{
    const double period = k_two_pi / radians(l);
    return a - b - period * round((a - b) / period);
}

static double snr_now(const rig *l) { return fit_block(l).snr_db; }

/* The largest step of the 0.5 sine at 1 kHz is 0.065; fading and mirroring may double it. */
static const double k_most_click = 0.14;

/* Nobody is woken for a while, no frame is lost: what was missed is faded out, and afterwards the
 * delay is what it was. */
static void test_a_stall_is_faded_and_leaves_the_delay(void)
{
    const double stalls_s[] = {0.01, 0.03, 0.06, 0.25, 0.06};
    rig l = connect_devices(k_writer, k_reader);
    run(&l, 40.0);
    CHECK(l.report.underruns == 0);
    for (int i = 0; i < 5; i++) {
        const double now_s = 40.0 + 11.0 * i, before = age_now(&l);
        const int64_t underruns = l.report.underruns;
        ae_device_stall(&l.writer, now_s, stalls_s[i]);
        if (i != 4) ae_device_stall(&l.reader, now_s, stalls_s[i]);
        run(&l, now_s + stalls_s[i] + 0.04);
        CHECK(snr_now(&l) > 80.0);
        CHECK(l.report.underruns <= underruns + 1 + (i == 4 ? 6 : (int)(100.0 * stalls_s[i])));
        CHECK_NEAR(apart(&l, age_now(&l), before), 0.0, 0.1);
        run(&l, now_s + 11.0);
    }
    CHECK(l.report.overruns == 0 && l.click < k_most_click);
    ae_clock_bridge_destroy(l.bridge);
}

/* Where writes come late again and again the target rises, in one jump at an underrun, and comes
 * down in one jump long after; in between it stands still. */
static void test_the_target_moves_where_the_sound_is_broken(void)
{
    rig l = connect_devices(k_writer, k_reader);
    run(&l, 30.0);
    const float usual = l.report.target_frames;
    for (int i = 0; i < 5; i++) {
        ae_device_stall(&l.writer, 30.0 + i, 0.010);
        const int64_t underruns = l.report.underruns;
        const float before = l.report.target_frames;
        run(&l, 31.0 + i);
        CHECK(l.report.target_frames == before || l.report.underruns > underruns);
    }
    const float raised = l.report.target_frames;
    CHECK(raised > usual + 100.0f && raised < usual + 600.0f);
    run(&l, 50.0);
    CHECK(l.report.target_frames == raised);
    run(&l, 90.0);
    CHECK_NEAR(l.report.target_frames, usual, 40.0);
    CHECK(l.click < k_most_click && l.report.locked);
    ae_clock_bridge_destroy(l.bridge);
}

/* A device that loses frames is at another place for good: silence, then the target again. */
static void test_lost_frames_are_made_up_for(void)
{
    const double lost_s[] = {0.02, 0.06, 0.7};
    for (int side = 0; side < 2; side++)
        for (int i = 0; i < 3; i++) {
            rig l = connect_devices(k_writer, k_reader);
            run(&l, 30.0);
            ae_device_lose(side == 0 ? &l.writer : &l.reader, lost_s[i]);
            run(&l, 30.0 + lost_s[i] + 0.15);
            CHECK(snr_now(&l) > 80.0 && l.report.locked);
            CHECK_NEAR(l.report.fill_frames, 697.0, 30.0);
            CHECK(side == 0 ? l.report.underruns > 0 : l.report.overruns > 0);
            const int64_t underruns = l.report.underruns;
            CHECK_NEAR(l.report.drift_ppm, 150.0, 2.0);
            run(&l, 60.0);
            CHECK(l.report.underruns == underruns && l.click < k_most_click);
            ae_clock_bridge_destroy(l.bridge);
        }
}

static double loudest(const rig *l)
{
    double peak = 0.0;
    for (int i = 0; i < 480; i++) peak = fmax(peak, fabs((double)l->out[i]));
    return peak;
}

/* The writer's device is gone for 3 s; another stream of the same device, from frame 0, follows. */
static void test_a_new_writer_is_heard_soon(void)
{
    rig l = connect_devices(k_writer, k_reader);
    run(&l, 20.0);
    const float fill = l.report.target_frames;
    l.writing = 0;
    run(&l, 20.3);
    CHECK(!l.report.writing && !l.report.locked && loudest(&l) == 0.0);
    const int64_t underruns = l.report.underruns;
    CHECK(underruns > 0 && underruns < 15);
    run(&l, 23.0);
    CHECK(l.report.underruns == underruns); /* an absent writer lacks nothing */
    ae_device device = k_writer;
    device.start_s = 23.0;
    l.writer = ae_device_open(device, 99, 23.0);
    l.writing = 1;
    ae_clock_bridge_open_writer(l.bridge);
    run(&l, 23.3);
    CHECK(l.report.writing && loudest(&l) > 0.45 && snr_now(&l) > 80.0);
    CHECK_NEAR(l.report.drift_ppm, 150.0, 20.0);
    CHECK_NEAR(l.report.target_frames, fill, 40.0);
    run(&l, 60.0);
    CHECK(l.report.underruns == underruns && l.report.locked && l.click < k_most_click);
    ae_clock_bridge_destroy(l.bridge);
}

/* The reader is gone for 3 s: the ring runs over; the new reader begins with what is new. */
static void test_a_new_reader_hears_what_is_new(void)
{
    rig l = connect_devices(k_writer, k_reader);
    run(&l, 20.0);
    l.reading = 0;
    run(&l, 23.0);
    ae_device device = k_reader;
    device.start_s = 23.0;
    l.reader = ae_device_open(device, 98, 23.0);
    l.reading = 1;
    l.last_sample = 0.0f;
    ae_clock_bridge_open_reader(l.bridge);
    ae_clock_bridge_read_report(l.bridge, &l.report);
    CHECK_NEAR(l.report.drift_ppm, 150.0, 2.0);
    CHECK(!l.report.locked);
    run(&l, 23.35);
    CHECK(loudest(&l) > 0.45 && snr_now(&l) > 80.0);
    CHECK_NEAR(l.report.fill_frames, 697.0, 40.0);
    const int64_t underruns = l.report.underruns;
    run(&l, 60.0);
    CHECK(l.report.underruns == underruns && l.report.locked && l.click < k_most_click);
    ae_clock_bridge_destroy(l.bridge);
}

/* --- killed at any instruction -----------------------------------------------------------------
 */

static sigjmp_buf killed;
static volatile sig_atomic_t inside; /* of a call of the doomed side */

static void set_timer(int microseconds)
{
    const struct itimerval timer = {{0, 0}, {0, microseconds}};
    setitimer(ITIMER_REAL, &timer, NULL);
}

static void on_alarm(int number)
{
    (void)number;
    if (inside)
        siglongjmp(killed, 1);
    else
        set_timer(37);
}

/* A timer jumps out of the call that is running, which is what a kill leaves of it in memory that
 * others share. Then that side is opened again, and must play clean within 0.6 s. */
static void test_a_side_may_be_killed_at_any_instruction(void)
{
    static rig l; /* survives the jump, as all that is read after it */
    static uint32_t seed = 4;
    static volatile int round;
    signal(SIGALRM, on_alarm);
    ae_device writer = k_writer, reader = k_reader;
    l = connect_devices(writer, reader);
    int wrong = 0;
    for (round = 0; round < k_kills; round++) {
        const int side = round % 2;
        if (sigsetjmp(killed, 1) == 0) {
            set_timer(1 + (int)(300.0 * ae_device_uniform(&seed)));
            for (;;) {
                const int writes = l.writer.next_s <= l.reader.next_s;
                ae_device_woke(writes ? &l.writer : &l.reader);
                float *const out[1] = {l.out};
                inside = writes == (side == 0);
                if (writes)
                    ae_clock_bridge_write(l.bridge, l.in, 120, l.writer.now_s);
                else
                    ae_clock_bridge_read(l.bridge, out, l.reader.now_s);
                inside = 0;
            }
        }
        inside = 0;
        const double now_s = fmax(l.writer.now_s, l.reader.now_s) + 0.001;
        if (round % 2 == 0) {
            ae_clock_bridge_open_writer(l.bridge);
            writer.start_s = now_s;
            l.writer = ae_device_open(writer, 5, now_s);
        } else {
            ae_clock_bridge_open_reader(l.bridge);
            reader.start_s = now_s;
            l.reader = ae_device_open(reader, 6, now_s);
        }
        run(&l, now_s + 0.6);
        wrong += !(loudest(&l) > 0.45) || !(snr_now(&l) > 80.0) || !l.report.writing;
    }
    CHECK(wrong == 0);
    ae_clock_bridge_destroy(l.bridge);
}

static double clock_now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* A writer process, killed and replaced, and a reader in another, as the live engine has them. */
static void write_in_a_process(ae_clock_bridge *bridge)
{
    float block[480];
    for (int i = 0; i < 480; i++) block[i] = 0.5f;
    const double start_s = clock_now_s();
    for (int n = 1; clock_now_s() < start_s + 20.0; n++) {
        while (clock_now_s() < start_s + 0.01 * n) sched_yield();
        ae_clock_bridge_write(bridge, block, 480, clock_now_s());
    }
    _exit(0);
}

static void test_a_killed_process_leaves_a_whole_bridge(void)
{
    const size_t bytes = (size_t)4 << 20;
    void *shared = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED);
    ae_allocate_from(ae_heap_create(shared, bytes));
    const ae_clock_bridge_config config = {48000, 48000, 1, 480, 480};
    ae_clock_bridge *bridge = NULL;
    CHECK(ae_clock_bridge_create(&bridge, &config) == AE_OK);
    ae_allocate_from(NULL);
    float block[480] = {0.0f};
    float *const out[1] = {block};
    ae_clock_bridge_report report = {0};
    for (int life = 0; life < 3; life++) {
        ae_clock_bridge_open_writer(bridge);
        const pid_t writer = fork();
        CHECK(writer >= 0);
        if (writer == 0) write_in_a_process(bridge);
        const double start_s = clock_now_s();
        int heard = 0, blocks = 0;
        while (heard < 6 && blocks < 1000) { /* 0.3 s, or longer on a busy machine */
            while (clock_now_s() < start_s + 0.01 * blocks) sched_yield();
            ae_clock_bridge_read(bridge, out, clock_now_s());
            heard = fabsf(block[479]) > 0.49f ? heard + 1 : 0;
            blocks++;
        }
        ae_clock_bridge_read_report(bridge, &report);
        CHECK(report.writing && heard == 6);
        kill(writer, SIGKILL);
        CHECK(waitpid(writer, NULL, 0) == writer);
        for (const int end = blocks + 25; blocks < end; blocks++) {
            while (clock_now_s() < start_s + 0.01 * blocks) sched_yield();
            ae_clock_bridge_read(bridge, out, clock_now_s());
        }
        ae_clock_bridge_read_report(bridge, &report);
        CHECK(!report.writing && fabsf(block[479]) == 0.0f);
    }
    ae_clock_bridge_destroy(bridge);
    munmap(shared, bytes);
}

/* --- two threads, for the thread sanitizer ------------------------------------------------------
 */

enum { k_small_frames = 32, k_stress_calls = 500000, k_stress_s = 4 };

typedef struct {
    ae_clock_bridge *bridge;
    double end_s;
    int calls;
} stress;

static void *write_all(void *argument)
{
    stress *s = argument;
    float block[k_small_frames * 2];
    for (int i = 0; i < k_small_frames * 2; i++) block[i] = 0.5f;
    for (; s->calls < k_stress_calls && clock_now_s() < s->end_s; s->calls++) {
        ae_clock_bridge_write(s->bridge, block, k_small_frames, clock_now_s());
        if (s->calls % 64 == 0) sched_yield();
    }
    return NULL;
}

static void *read_all(void *argument)
{
    stress *s = argument;
    float left[k_small_frames], right[k_small_frames];
    float *const out[2] = {left, right};
    int wrong = 0;
    for (; s->calls < k_stress_calls && clock_now_s() < s->end_s; s->calls++) {
        ae_clock_bridge_read(s->bridge, out, clock_now_s());
        for (int i = 0; i < k_small_frames; i++)
            wrong += !(left[i] >= -0.1f && left[i] <= 0.6f && left[i] == right[i]);
        if (s->calls % 64 == 0) sched_yield();
    }
    CHECK(wrong == 0);
    return NULL;
}

/* Both threads as fast as they can, joined and opened anew a few times, beside a control thread. */
static void test_two_threads(void)
{
    const ae_clock_bridge_config config = {48000, 48000, 2, k_small_frames, k_small_frames};
    ae_clock_bridge *bridge;
    CHECK(ae_clock_bridge_create(&bridge, &config) == AE_OK);
    const double start_s = clock_now_s();
    stress writing = {bridge, 0, 0}, reading = {bridge, 0, 0};
    for (int round = 1; round <= 8; round++) {
        writing.end_s = reading.end_s = start_s + round * (double)k_stress_s / 8;
        pthread_t writer, reader;
        CHECK(pthread_create(&writer, NULL, write_all, &writing) == 0);
        CHECK(pthread_create(&reader, NULL, read_all, &reading) == 0);
        for (int i = 0; i < 20; i++) {
            ae_clock_bridge_report report;
            ae_clock_bridge_read_report(bridge, &report);
            CHECK(isfinite(report.drift_ppm) && report.underruns >= 0 && report.overruns >= 0);
            sched_yield();
        }
        pthread_join(writer, NULL);
        if (round % 2 == 0) ae_clock_bridge_open_writer(bridge);
        pthread_join(reader, NULL);
        if (round % 3 == 0) ae_clock_bridge_open_reader(bridge);
    }
    if (verbose) printf("two threads: %d writes, %d reads\n", writing.calls, reading.calls);
    CHECK(writing.calls > 1000 && reading.calls > 1000);
    ae_clock_bridge_destroy(bridge);
}

/* --- any block, any channel, any clock ----------------------------------------------------------
 */

/* Writes of all lengths from a device whose block is not known: the longest is learnt. */
static void test_writes_may_have_any_length(void)
{
    const ae_clock_bridge_config config = {48000, 48000, 2, 0, 480};
    ae_clock_bridge *self = NULL;
    CHECK(ae_clock_bridge_create(&self, &config) == AE_OK);
    static float in[2 * k_max_frames], left[480], right[480];
    float *const out[2] = {left, right};
    uint32_t seed = 8;
    ae_clock_bridge_report report = {0};
    int64_t written = 0;
    double worst = 0.0;
    for (int block = 1; block < 6000; block++) {
        const double now_s = 0.01 * block;
        while ((double)written < 48000.0 * now_s) {
            const int frames = (int)(900.0 * ae_device_uniform(&seed));
            for (int i = 0; i < frames; i++) {
                in[2 * i] = (float)sin(0.05 * (double)(written + i));
                in[2 * i + 1] = -in[2 * i];
            }
            written += frames;
            if ((double)written > 48000.0 * (now_s + 0.1)) break;
            ae_clock_bridge_write(self, in, frames, (double)written / 48000.0);
        }
        ae_clock_bridge_read(self, out, now_s);
        ae_clock_bridge_read_report(self, &report);
        for (int i = 0; i < 480; i++) worst = fmax(worst, fabs((double)left[i] + (double)right[i]));
    }
    CHECK(worst == 0.0); /* what is on one channel stays there */
    CHECK(report.target_frames > 480.0f + 850.0f && report.target_frames < 480.0f + 1000.0f);
    CHECK(report.locked && report.overruns == 0 && fabs(report.drift_ppm) < 2.0);
    ae_clock_bridge_destroy(self);
}

static void test_null_is_silence(void)
{
    rig l = connect_devices(k_writer, k_reader);
    run(&l, 5.0);
    double until_s = 5.0;
    for (; until_s < 6.0; until_s = l.reader.now_s) {
        while (l.writer.next_s <= l.reader.next_s) {
            ae_device_woke(&l.writer);
            ae_clock_bridge_write(l.bridge, NULL, 120, l.writer.now_s);
        }
        read_once(&l);
    }
    CHECK(loudest(&l) == 0.0 && l.report.writing && l.report.underruns == 0);
    ae_clock_bridge_destroy(l.bridge);
}

/* Full-scale noise, times that jump, stand still, run backwards or are no numbers: the output stays
 * finite and bounded, and good clocks are believed again. */
static void test_bad_weather(void)
{
    rig l = connect_devices(k_writer, k_reader);
    float *const out[1] = {l.out};
    uint32_t seed = 21;
    for (int i = 0; i < 4000; i++) {
        const double wild = 100.0 * (double)ae_random(&seed);
        const double kinds[] = {0.01 * i, 7.0, wild, -0.01 * i, NAN, INFINITY, 1e300};
        const double now_s = kinds[i / 100 % 7];
        const int frames = (int)(4096.0 * ae_device_uniform(&seed) * (i % 3 == 0));
        for (int k = 0; k < frames; k++) l.in[k] = 64.0f * ae_random(&seed);
        ae_clock_bridge_write(l.bridge, l.in, frames, now_s);
        ae_clock_bridge_read(l.bridge, out, now_s + wild * (i % 5 == 0));
        for (int k = 0; k < 480; k++) CHECK(fabsf(l.out[k]) < 400.0f);
    }
    ae_device writer = k_writer, reader = k_reader;
    writer.start_s = reader.start_s = 1000.0;
    l.writer = ae_device_open(writer, 5, 1000.0);
    l.reader = ae_device_open(reader, 6, 1000.0);
    ae_clock_bridge_open_writer(l.bridge);
    ae_clock_bridge_open_reader(l.bridge);
    run(&l, 1060.0);
    CHECK(loudest(&l) > 0.45 && snr_now(&l) > 80.0 && l.report.locked);
    ae_clock_bridge_destroy(l.bridge);
}

int main(int argc, char **argv)
{
    verbose = argc > 1 ? (argv[1][0] == 'x' ? 2 : 1) : 0;
    test_create_checks_every_field();
    test_two_threads();
    if (!k_threads_only) {
        test_the_devices_stay_together();
        test_the_told_latency_is_the_true_one();
        test_a_stall_is_faded_and_leaves_the_delay();
        test_the_target_moves_where_the_sound_is_broken();
        test_lost_frames_are_made_up_for();
        test_a_new_writer_is_heard_soon();
        test_a_new_reader_hears_what_is_new();
        test_a_side_may_be_killed_at_any_instruction();
        test_a_killed_process_leaves_a_whole_bridge();
        test_writes_may_have_any_length();
        test_null_is_silence();
        test_bad_weather();
    }
    return AE_TEST_RESULT();
}
