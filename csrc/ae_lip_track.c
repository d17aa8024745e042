#include "ae_lip_track.h"

#include <math.h>

static const double k_gate_ms = 120.0;
static const double k_step_spread_ms = 40.0;
static const int k_step_count = 3;
static const double k_memory_s = 60.0; /* without an estimate; no window is longer */
/* Of one estimate at full confidence: 12 ms on clean speech, times the root of the ten estimates
 * that share a window of 10 s. */
static const double k_deviation_ms = 38.0;
/* Of the slope at the start: frame rates declared wrong by 2 % drift 20 ms/s, clocks 0.1 ms/s. */
static const double k_slope_deviation = 20.0;
/* Random walk of the slope, (ms/s)^2 per second: it may change by 1 ms/s in 100 s. */
static const double k_slope_walk = 0.01;

void ae_lip_track_reset(ae_lip_track *self) { *self = (ae_lip_track){0}; }

static double measurement_variance(double confidence)
{
    const double deviation = k_deviation_ms / confidence;
    return deviation * deviation;
}

static void begin(ae_lip_track *self, double time_s, double offset_ms, double confidence)
{
    *self = (ae_lip_track){
        .measured = 1,
        .first_s = time_s,
        .last_s = time_s,
        .offset_ms = offset_ms,
        .variance = {measurement_variance(confidence), 0.0, k_slope_deviation * k_slope_deviation}};
}

/* 1 when the estimates left out agree for long enough. */
static int leave_out(ae_lip_track *self, double offset_ms)
{
    const double low = self->outside > 0 ? fmin(self->outside_low_ms, offset_ms) : offset_ms;
    const double high = self->outside > 0 ? fmax(self->outside_high_ms, offset_ms) : offset_ms;
    const int agree = high - low <= k_step_spread_ms;
    self->outside = agree ? self->outside + 1 : 1;
    self->outside_low_ms = agree ? low : offset_ms;
    self->outside_high_ms = agree ? high : offset_ms;
    return self->outside >= k_step_count;
}

int ae_lip_track_update(ae_lip_track *self, double time_s, double offset_ms, double confidence)
{
    if (!(confidence >= 0.5) || !isfinite(offset_ms)) return 0;
    if (self->measured == 0 || time_s - self->last_s > k_memory_s) {
        begin(self, time_s, offset_ms, fmin(confidence, 1.0));
        return 0;
    }
    const double step_s = fmax(time_s - self->last_s, 0.0);
    double *v = self->variance;
    const double predicted = self->offset_ms + step_s * self->slope_ms_per_s;
    const double innovation = offset_ms - predicted;
    if (fabs(innovation) > k_gate_ms) {
        if (!leave_out(self, offset_ms)) return 0;
        begin(self, time_s, offset_ms, fmin(confidence, 1.0));
        return 1;
    }
    self->outside = 0;
    v[0] += step_s * (2.0 * v[1] + step_s * v[2]);
    v[1] += step_s * v[2];
    v[2] += step_s * k_slope_walk;
    const double total = v[0] + measurement_variance(fmin(confidence, 1.0));
    const double gain = v[0] / total, slope_gain = v[1] / total;
    self->offset_ms = predicted + gain * innovation;
    self->slope_ms_per_s += slope_gain * innovation;
    v[2] -= slope_gain * v[1];
    v[1] -= gain * v[1];
    v[0] -= gain * v[0];
    self->last_s = time_s;
    self->measured++;
    return 0;
}

double ae_lip_track_drift(const ae_lip_track *self)
{
    const int known = self->measured > 1 && self->last_s - self->first_s >= AE_LIP_TRACK_DRIFT_S;
    return known ? self->slope_ms_per_s : (double)NAN;
}
