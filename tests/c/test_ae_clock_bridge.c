/* Truths: two simulated devices with exact clocks. The input is a sine of the writer's frames, so
 * the phase of the output tells, from outside, where the bridge reads, to 0.001 samples. */
#include "ae_clock_bridge.h"
#include "ae_common.h"
#include "ae_math.h"
#include "ae_test.h"

#include <stdlib.h>

static const double k_pi = 3.14159265358979323846;

enum { k_max_frames = 4096, k_max_stalls = 8 };

typedef enum { QUIET, UNIFORM, HALF_NORMAL, EXPONENTIAL } jitter_shape;

typedef struct {
    int input_rate_hz, output_rate_hz;
    int write_frames, read_frames;
    double writer_ppm, reader_ppm;
    jitter_shape shape;
    double jitter_s; /* the largest (UNIFORM), sigma (HALF_NORMAL) or mean (EXPONENTIAL) */
    int write_burst, read_burst; /* blocks per wake-up, 1 or more */
    double seconds;
    int stalls;
    double stall_at_s[k_max_stalls], stall_s[k_max_stalls];
    double lost_at_s, lost_s; /* the writer's device loses frames */
} scene;

typedef struct {
    ae_clock_bridge *bridge;
    const scene *scene;
    uint32_t seed;
    int64_t writes, reads;
    double last_write_s, last_read_s, start_s;
} devices;

static double uniform(devices *d) { return 0.5 + 0.5 * (double)ae_random(&d->seed); }

static double late(devices *d)
{
    const double size = d->scene->jitter_s;
    switch (d->scene->shape) {
    case QUIET: return 0.0;
    case UNIFORM: return size * uniform(d);
    case HALF_NORMAL: {
        const double radius = sqrt(-2.0 * log(uniform(d) + 1e-12));
        return size * fabs(radius * cos(2.0 * k_pi * uniform(d)));
    }
    case EXPONENTIAL: return -size * log(uniform(d) + 1e-12);
    }
    return 0.0;
}

static double stalled(const devices *d, double time_s)
{
    for (int i = 0; i < d->scene->stalls; i++) {
        const double end_s = d->scene->stall_at_s[i] + d->scene->stall_s[i];
        if (time_s >= d->scene->stall_at_s[i] && time_s < end_s) time_s = end_s;
    }
    return time_s;
}

static int64_t rounded_up(int64_t count, int burst) { return (count + burst - 1) / burst * burst; }

static double next_write_s(devices *d)
{
    const scene *s = d->scene;
    const int64_t ready = rounded_up(d->writes + 1, s->write_burst);
    double at = (double)ready * s->write_frames / s->input_rate_hz / (1.0 + 1e-6 * s->writer_ppm);
    if (s->lost_s > 0.0 && at > s->lost_at_s) at += s->lost_s;
    return fmax(stalled(d, at + late(d)), d->last_write_s + 2e-5);
}

static double next_read_s(devices *d)
{
    const scene *s = d->scene;
    const int64_t ready = rounded_up(d->reads, s->read_burst);
    const double at =
        0.0137 + (double)ready * s->read_frames / s->output_rate_hz / (1.0 + 1e-6 * s->reader_ppm);
    return fmax(stalled(d, at + late(d)), d->last_read_s + 2e-5);
}

typedef struct {
    double wander[2];     /* of the read position, samples peak to peak in 10 s: worst, mean */
    double worst_snr_db;  /* of the sine, 100 ms at a time */
    double worst_ppm;     /* error of the estimate after 30 s */
    double worst_fill;    /* fill - target */
    double sound_after_s; /* first read that is not silent */
    double latency_ms;    /* measured: oldest sample of a block by the true clocks, mean at end */
    double told_ms;
    int64_t locked_underruns; /* after lock */
    double lock_s;
    ae_clock_bridge_report last;
} result;

static const double k_tone_hz = 1000.0; /* in the writer's nominal time */

typedef struct {
    double phase, amplitude, residual;
} tone_fit;

/* Least squares of a sin + b cos; radians per frame given. */
static tone_fit fit_tone(const float *y, int frames, double step)
{
    double ss = 0, sc = 0, cc = 0, ys = 0, yc = 0, yy = 0;
    for (int n = 0; n < frames; n++) {
        const double s = sin(step * n), c = cos(step * n), v = (double)y[n];
        ss += s * s, sc += s * c, cc += c * c, ys += v * s, yc += v * c, yy += v * v;
    }
    const double determinant = ss * cc - sc * sc;
    const double a = (ys * cc - yc * sc) / determinant, b = (yc * ss - ys * sc) / determinant;
    return (tone_fit){atan2(b, a), sqrt(a * a + b * b), fmax(yy - a * ys - b * yc, 1e-30) / frames};
}

static result simulate(const scene *s, int print)
{
    const ae_clock_bridge_config config = {s->input_rate_hz, s->output_rate_hz, 1, s->write_frames,
                                           s->read_frames};
    ae_clock_bridge *bridge = NULL;
    CHECK(ae_clock_bridge_create(&bridge, &config) == AE_OK);
    devices d = {
        .bridge = bridge, .scene = s, .seed = 12345, .last_write_s = -1, .last_read_s = -1};
    static float in[k_max_frames], out[k_max_frames];
    result r = {.worst_snr_db = 999, .sound_after_s = -1, .lock_s = -1};
    const double ratio = (1.0 + 1e-6 * s->writer_ppm) / (1.0 + 1e-6 * s->reader_ppm);
    const double true_ppm = 1e6 * (ratio - 1.0);
    const double radians = 2.0 * k_pi * k_tone_hz / s->input_rate_hz; /* per input frame */
    const double frames_per_out = ratio * s->input_rate_hz / s->output_rate_hz;
    double write_s = next_write_s(&d), read_s = next_read_s(&d);
    double position = 0, low = 1e9, high = -1e9, window_s = 0, wander_sum = 0;
    int windows = 0, have_position = 0, locked = 0;
    int64_t underruns_at_lock = 0;
    float *const outs[1] = {out};
    while (read_s < s->seconds) {
        if (write_s <= read_s) {
            for (int i = 0; i < s->write_frames; i++)
                in[i] = (float)(0.5 * sin(fmod(radians * (double)(d.writes * s->write_frames + i),
                                               2.0 * k_pi)));
            ae_clock_bridge_write(bridge, in, s->write_frames, write_s);
            d.writes++;
            d.last_write_s = write_s;
            write_s = next_write_s(&d);
            continue;
        }
        ae_clock_bridge_read(bridge, outs, read_s);
        ae_clock_bridge_report report;
        ae_clock_bridge_read_report(bridge, &report);
        const double m = (double)(d.reads * s->read_frames);
        if (r.sound_after_s < 0 && fabsf(out[s->read_frames - 1]) > 0.0f) r.sound_after_s = read_s;
        if (report.locked && !locked) {
            locked = 1;
            r.lock_s = read_s;
            underruns_at_lock = report.underruns;
            window_s = read_s;
        }
        if (locked) {
            const tone_fit fit = fit_tone(out, s->read_frames, radians * frames_per_out);
            const double snr = 10.0 * log10(0.5 * fit.amplitude * fit.amplitude / fit.residual);
            if (snr < r.worst_snr_db) r.worst_snr_db = snr;
            const double true_position = m * frames_per_out;
            double now = fit.phase / radians - true_position;
            const double period = 2.0 * k_pi / radians;
            now -= period * round((now - position) / period);
            if (!have_position) have_position = 1;
            position = now;
            low = fmin(low, now);
            high = fmax(high, now);
            r.worst_fill =
                fmax(r.worst_fill, fabs((double)report.fill_frames - (double)report.target_frames));
            if (read_s > 30.0) r.worst_ppm = fmax(r.worst_ppm, fabs(report.drift_ppm - true_ppm));
            if (read_s - window_s >= 10.0) {
                if (print > 1)
                    printf("    t %5.0f wander %.3f pos %.2f ppm %.3f fill %.1f target %.1f jitter "
                           "%.3f under %d\n",
                           read_s, high - low, position, report.drift_ppm,
                           (double)report.fill_frames, (double)report.target_frames,
                           (double)report.jitter_ms, (int)report.underruns);
                if (read_s > 60.0) {
                    r.wander[0] = fmax(r.wander[0], high - low);
                    wander_sum += high - low;
                    windows++;
                }
                low = high = now;
                window_s = read_s;
            }
            r.locked_underruns = report.underruns - underruns_at_lock;
        }
        r.last = report;
        d.reads++;
        d.last_read_s = read_s;
        read_s = next_read_s(&d);
    }
    r.wander[1] = windows > 0 ? wander_sum / windows : 0;
    if (print)
        printf("  %d->%d w%d r%d ppm %.0f shape %d %.1fms bursts %d/%d: sound %.2f s lock %.2f s "
               "under %d+%d over %d ppm err %.3f fill err %.2f snr %.1f wander max %.3f mean %.3f "
               "target %.1f latency %.2f ms jitter %.3f\n",
               s->input_rate_hz, s->output_rate_hz, s->write_frames, s->read_frames, true_ppm,
               (int)s->shape, s->jitter_s * 1e3, s->write_burst, s->read_burst, r.sound_after_s,
               r.lock_s, (int)underruns_at_lock, (int)r.locked_underruns, (int)r.last.overruns,
               r.worst_ppm, r.worst_fill, r.worst_snr_db, r.wander[0], r.wander[1],
               (double)r.last.target_frames, (double)r.last.latency_ms, (double)r.last.jitter_ms);
    ae_clock_bridge_destroy(bridge);
    return r;
}

int main(int argc, char **argv)
{
    const int print = argc > 1 && argv[1] != NULL ? 2 : 1;
    scene s = {48000, 48000, 120, 480, 300, 0, QUIET, 0, 1, 1, 60, 0, {0}, {0}, 0, 0};
    result r = simulate(&s, print);
    CHECK(r.sound_after_s < 0.3 && r.locked_underruns == 0 && r.worst_ppm < 2.0);
    s.shape = UNIFORM, s.jitter_s = 1e-3;
    r = simulate(&s, print);
    CHECK(r.sound_after_s < 0.3 && r.locked_underruns == 0 && r.worst_ppm < 2.0);
    return AE_TEST_RESULT();
}
