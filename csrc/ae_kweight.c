#include "ae_kweight.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "ae_math.h"

static const double k_pi = 3.14159265358979323846;

/* ITU-R BS.1770-5, Annex 1, tables 1 and 2: the definition, at 48 kHz. */
static const int k_definition_rate_hz = 48000;
static const ae_kweight_filter k_definition = {
    .stage1_b = {1.53512485958697, -2.69169618940638, 1.19839281085285},
    .stage1_a = {-1.69065929318241, 0.73248077421585},
    .stage2_a = {-1.99004745483398, 0.99007225036621},
};

enum {
    k_fit_points = 400,    /* about 40 per octave */
    k_fit_iterations = 60, /* 12 are usual */
    k_fit_size = 5,        /* b0 b1 b2 a1 a2 */
    k_settle_frames = 256, /* how often the states are checked for values that must not stay */
    k_lanes = 2,           /* channels filtered side by side */
};

static const double k_state_floor = 1e-100; /* -2000 dB: far above the slow denormal numbers */

typedef struct {
    double s1, s2; /* stage 1, transposed direct form II */
    double t1, t2; /* stage 2 */
} channel_state;

struct ae_kweight {
    ae_kweight_filter filter;
    int channels;
    int frames_to_settle;
    channel_state state[AE_MAX_CHANNELS];
};

/* |p0 + p1 z + p2 z^2|^2 on the unit circle at the angle w. */
static double quadratic_power(double p0, double p1, double p2, double w)
{
    const double re = p0 + p1 * cos(w) + p2 * cos(2.0 * w);
    const double im = p1 * sin(w) + p2 * sin(2.0 * w);
    return re * re + im * im;
}

double ae_kweight_magnitude_db(const ae_kweight_filter *filter, int sample_rate_hz,
                               double frequency_hz)
{
    const double w = 2.0 * k_pi * frequency_hz / sample_rate_hz;
    const double *b = filter->stage1_b, *a = filter->stage1_a, *c = filter->stage2_a;
    const double zeros = quadratic_power(b[0], b[1], b[2], w) * quadratic_power(1.0, -2.0, 1.0, w);
    const double poles = quadratic_power(1.0, a[0], a[1], w) * quadratic_power(1.0, c[0], c[1], w);
    return 10.0 * log10(zeros / poles);
}

/* Bilinear redesign of the analogue prototype behind the printed numbers (the usual way). */
static void design_bilinear(ae_kweight_filter *filter, double rate_hz)
{
    const double shelf_hz = 1681.974450955533, shelf_q = 0.7071752369554196;
    const double high = pow(10.0, 3.999843853973347 / 20.0), band = pow(high, 0.4996667741545416);
    double k = tan(k_pi * shelf_hz / rate_hz);
    double a0 = 1.0 + k / shelf_q + k * k;
    filter->stage1_b[0] = (high + band * k / shelf_q + k * k) / a0;
    filter->stage1_b[1] = 2.0 * (k * k - high) / a0;
    filter->stage1_b[2] = (high - band * k / shelf_q + k * k) / a0;
    filter->stage1_a[0] = 2.0 * (k * k - 1.0) / a0;
    filter->stage1_a[1] = (1.0 - k / shelf_q + k * k) / a0;

    const double highpass_hz = 38.13547087602444, highpass_q = 0.5003270373238773;
    k = tan(k_pi * highpass_hz / rate_hz);
    a0 = 1.0 + k / highpass_q + k * k;
    filter->stage2_a[0] = 2.0 * (k * k - 1.0) / a0;
    filter->stage2_a[1] = (1.0 - k / highpass_q + k * k) / a0;
}

typedef struct {
    double normal[k_fit_size][k_fit_size]; /* J'J */
    double slope[k_fit_size];              /* J'r */
    double error;                          /* r'r, dB^2 */
} fit_sums;

/* Residual in dB and its derivatives over the fit band, collected into the normal equations. */
static void fit_evaluate(const ae_kweight_filter *filter, int rate_hz, fit_sums *sums)
{
    const double low_hz = 20.0, high_hz = fmin(0.46 * rate_hz, 20000.0);
    const double db_per_neper = 20.0 / log(10.0);
    const double *b = filter->stage1_b, *a = filter->stage1_a;
    *sums = (fit_sums){0};
    for (int i = 0; i < k_fit_points; i++) {
        const double hz = low_hz * pow(high_hz / low_hz, i / (k_fit_points - 1.0));
        const double w = 2.0 * k_pi * hz / rate_hz;
        const double residual = ae_kweight_magnitude_db(filter, rate_hz, hz) -
                                ae_kweight_magnitude_db(&k_definition, k_definition_rate_hz, hz);
        const double c1 = cos(w), c2 = cos(2.0 * w);
        const double zeros = db_per_neper / quadratic_power(b[0], b[1], b[2], w);
        const double poles = -db_per_neper / quadratic_power(1.0, a[0], a[1], w);
        /* d ln|p0 + p1 z + p2 z^2| / dp_k = sum_j p_j cos((j - k) w) / |.|^2 */
        const double row[k_fit_size] = {
            zeros * (b[0] + b[1] * c1 + b[2] * c2), zeros * (b[0] * c1 + b[1] + b[2] * c1),
            zeros * (b[0] * c2 + b[1] * c1 + b[2]), poles * (c1 + a[0] + a[1] * c1),
            poles * (c2 + a[0] * c1 + a[1]),
        };
        for (int r = 0; r < k_fit_size; r++) {
            for (int c = 0; c < k_fit_size; c++) sums->normal[r][c] += row[r] * row[c];
            sums->slope[r] += row[r] * residual;
        }
        sums->error += residual * residual;
    }
}

/* Solve (J'J + damping diag(J'J)) step = J'r by Cholesky; false when not positive definite. */
static bool fit_solve(const fit_sums *sums, double damping, double *step)
{
    double l[k_fit_size][k_fit_size];
    for (int r = 0; r < k_fit_size; r++) {
        for (int c = 0; c <= r; c++) {
            double sum = sums->normal[r][c] * (r == c ? 1.0 + damping : 1.0);
            for (int k = 0; k < c; k++) sum -= l[r][k] * l[c][k];
            if (r == c && !(sum > 0.0)) return false;
            l[r][c] = r == c ? sqrt(sum) : sum / l[c][c];
        }
    }
    for (int r = 0; r < k_fit_size; r++) {
        step[r] = sums->slope[r];
        for (int k = 0; k < r; k++) step[r] -= l[r][k] * step[k];
        step[r] /= l[r][r];
    }
    for (int r = k_fit_size - 1; r >= 0; r--) {
        for (int k = r + 1; k < k_fit_size; k++) step[r] -= l[k][r] * step[k];
        step[r] /= l[r][r];
    }
    return true;
}

static bool is_stable(const double *a) { return fabs(a[1]) < 1.0 && fabs(a[0]) < 1.0 + a[1]; }

/* Levenberg-Marquardt from the bilinear redesign: a step is taken only if it fits better. */
static void fit_stage1(ae_kweight_filter *filter, int rate_hz)
{
    fit_sums sums;
    fit_evaluate(filter, rate_hz, &sums);
    double damping = 1e-3;
    for (int i = 0; i < k_fit_iterations && damping < 1e9; i++) {
        double step[k_fit_size];
        ae_kweight_filter trial = *filter;
        fit_sums trial_sums = {.error = HUGE_VAL};
        if (fit_solve(&sums, damping, step)) {
            for (int k = 0; k < 3; k++) trial.stage1_b[k] -= step[k];
            for (int k = 0; k < 2; k++) trial.stage1_a[k] -= step[3 + k];
            if (is_stable(trial.stage1_a)) fit_evaluate(&trial, rate_hz, &trial_sums);
        }
        if (!(trial_sums.error < sums.error)) {
            damping *= 10.0;
            continue;
        }
        const bool done = sums.error - trial_sums.error < 1e-12 * sums.error;
        *filter = trial;
        sums = trial_sums;
        damping *= 0.1;
        if (done) break;
    }
}

ae_status ae_kweight_design(ae_kweight_filter *out, int sample_rate_hz)
{
    if (sample_rate_hz < AE_MIN_RATE_HZ || sample_rate_hz > AE_METER_MAX_RATE_HZ)
        return AE_ERROR_ARGUMENT;
    *out = k_definition;
    if (sample_rate_hz == k_definition_rate_hz) return AE_OK;
    design_bilinear(out, sample_rate_hz);
    fit_stage1(out, sample_rate_hz);
    return AE_OK;
}

ae_status ae_kweight_create(ae_kweight **out, const ae_kweight_config *config)
{
    *out = NULL;
    if (config->channels < 1 || config->channels > AE_MAX_CHANNELS) return AE_ERROR_ARGUMENT;
    ae_kweight_filter filter;
    const ae_status status = ae_kweight_design(&filter, config->sample_rate_hz);
    if (status != AE_OK) return status;
    ae_kweight *self = ae_allocate(sizeof *self);
    if (self == NULL) return AE_ERROR_MEMORY;
    self->filter = filter;
    self->channels = config->channels;
    ae_kweight_reset(self);
    *out = self;
    return AE_OK;
}

void ae_kweight_destroy(ae_kweight *self) { ae_free(self); }

void ae_kweight_reset(ae_kweight *self)
{
    memset(self->state, 0, sizeof self->state);
    self->frames_to_settle = k_settle_frames;
}

/* `lanes` channels side by side, so their recursions overlap. Each section is written with only one
 * multiply-add between s1 and the next s1: s1' = (b1 - a1 b0) x + s2 - a1 s1. */
static inline void filter_lanes(const ae_kweight_filter *filter, channel_state *state,
                                const float *const *in, int offset, int frames, double *energy,
                                const int lanes)
{
    const double b0 = filter->stage1_b[0], a1 = filter->stage1_a[0], a2 = filter->stage1_a[1];
    const double c1 = filter->stage1_b[1] - a1 * b0, c2 = filter->stage1_b[2] - a2 * b0;
    const double p1 = filter->stage2_a[0], p2 = filter->stage2_a[1];
    const double d1 = -2.0 - p1, d2 = 1.0 - p2;
    double s1[k_lanes], s2[k_lanes], t1[k_lanes], t2[k_lanes], sum[k_lanes];
    const float *x[k_lanes];
    for (int c = 0; c < lanes; c++) {
        s1[c] = state[c].s1, s2[c] = state[c].s2, t1[c] = state[c].t1, t2[c] = state[c].t2;
        sum[c] = energy[c], x[c] = in[c] + offset;
    }
    for (int n = 0; n < frames; n++) {
        for (int c = 0; c < lanes; c++) {
            const double u = (double)x[c][n];
            const double v = b0 * u + s1[c];
            s2[c] += c1 * u;
            const double next_s1 = s2[c] - a1 * s1[c];
            s2[c] = c2 * u - a2 * s1[c];
            s1[c] = next_s1;
            const double y = v + t1[c];
            t2[c] += d1 * v;
            const double next_t1 = t2[c] - p1 * t1[c];
            t2[c] = d2 * v - p2 * t1[c];
            t1[c] = next_t1;
            sum[c] += y * y;
        }
    }
    for (int c = 0; c < lanes; c++) {
        state[c] = (channel_state){s1[c], s2[c], t1[c], t2[c]};
        energy[c] = sum[c];
    }
}

/* Decayed states become zero before they turn denormal; states that are not finite start again. */
static void settle(ae_kweight *self)
{
    for (int c = 0; c < self->channels; c++) {
        channel_state *s = &self->state[c];
        const double size = fabs(s->s1) + fabs(s->s2) + fabs(s->t1) + fabs(s->t2);
        if (!(size >= k_state_floor && size < HUGE_VAL)) *s = (channel_state){0};
    }
}

void ae_kweight_add_energy(ae_kweight *self, const float *const *in, int offset, int frames,
                           double *energy)
{
    while (frames > 0) {
        const int count = frames < self->frames_to_settle ? frames : self->frames_to_settle;
        int c = 0;
        for (; c + 1 < self->channels; c += 2) {
            filter_lanes(&self->filter, &self->state[c], &in[c], offset, count, &energy[c], 2);
        }
        if (c < self->channels) {
            filter_lanes(&self->filter, &self->state[c], &in[c], offset, count, &energy[c], 1);
        }
        self->frames_to_settle -= count;
        if (self->frames_to_settle == 0) {
            settle(self);
            self->frames_to_settle = k_settle_frames;
        }
        offset += count;
        frames -= count;
    }
}

double ae_kweight_mean_square(ae_kweight *self, const float *const *in, int frames)
{
    double energy[AE_MAX_CHANNELS] = {0}, sum = 0.0;
    ae_kweight_add_energy(self, in, 0, frames, energy);
    for (int c = 0; c < self->channels; c++) sum += energy[c];
    return frames > 0 ? sum / frames : 0.0;
}

static const double k_offset_lufs = -0.691; /* BS.1770-5 equation 2 */

double ae_lufs_from_mean_square(double mean_square)
{
    return mean_square > 1e-20 ? k_offset_lufs + 10.0 * log10(mean_square) : -HUGE_VAL;
}

double ae_mean_square_from_lufs(double loudness_lufs)
{
    return pow(10.0, 0.1 * (loudness_lufs - k_offset_lufs));
}
