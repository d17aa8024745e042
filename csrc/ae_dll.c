#include "ae_dll.h"

#include "ae_math.h"

enum {
    k_min_rate_hz = 8000,
    k_max_rate_hz = 192000,
    k_earliest = 32,    /* the most wake-ups whose mean is the error of a group ... */
    k_share = 8,        /* ... and which share of the group they are at most */
    k_min_wakes = 3,    /* per group: one that is not late is among them */
    k_ready_groups = 4, /* the phase is averaged over these before it is believed */
    k_latest = 6,       /* late wake-ups remembered per window */
    k_excused = 2,      /* of them do not count ... */
};

static const double k_two_pi = 6.28318530717958647692;
static const double k_first_hz = 0.5;
static const double k_last_hz = 0.005;
/* 2.6 / t is the loop frequency (rad/s) whose gains are those of a least-squares line over t:
 * slope gain 6 / m^2 = (w T)^2 with m = t / T. */
static const double k_fit = 2.6;
/* A group lasts 1/25 of what was seen so far: short groups follow the start, long ones find a
 * wake-up that was on time. */
static const double k_group_share = 0.04;
static const double k_first_group_s = 0.05, k_min_group_s = 0.2, k_max_group_s = 0.64;
static const double k_first_later_gain = 0.1;
static const double k_max_ppm = 5000.0;    /* a device further off is broken */
static const double k_locked_s = 3.0;      /* until 0.1 ms of jitter is less than 30 ppm of slope */
static const double k_stall_s = 0.005;     /* ... or all but one, where later than this: a stall */
static const double k_step_s = 0.002;      /* a whole group off by this: frames were lost */
static const double k_settling_s = 1.0;    /* how long that is */
static const double k_window_s = 10.0;     /* over which the latest wake-ups are kept */
static const double k_jitter_time_s = 4.0; /* averaging of the lateness */
static const double k_most_s = 1e10;       /* the clock itself is broken */
static const double k_same_wake = 0.25; /* calls closer than this share of a block: one wake-up */

struct ae_dll {
    double nominal_period_s;
    /* The line. */
    double origin_s, origin_frames;
    double period_s; /* per frame */
    double seen_s;   /* since the start, by the line */
    int groups;      /* since the start */
    int averaged;    /* groups since the phase was last set outright */
    int started, checking;
    int64_t steps;
    /* The group. */
    double group_frames, group_start_s; /* where and when it began */
    int wakes, kept;
    double earliest[k_earliest]; /* the smallest errors, ascending */
    /* The last call. */
    double last_s, last_frames;
    /* Lateness. */
    double latest[k_latest], latest_before[k_latest]; /* descending; this window and the last */
    double window_frames;
    double mean_s, variance_s2;
};

ae_status ae_dll_create(ae_dll **out, const ae_dll_config *config)
{
    *out = NULL;
    if (config->rate_hz < k_min_rate_hz || config->rate_hz > k_max_rate_hz)
        return AE_ERROR_ARGUMENT;
    ae_dll *self = ae_allocate(sizeof(ae_dll));
    if (self == NULL) return AE_ERROR_MEMORY;
    self->nominal_period_s = 1.0 / config->rate_hz;
    ae_dll_reset(self);
    *out = self;
    return AE_OK;
}

void ae_dll_destroy(ae_dll *self) { ae_free(self); }

static double limited_period(const ae_dll *self, double period_s)
{
    const double ratio = period_s / self->nominal_period_s;
    if (!(fabs(ratio - 1.0) <= 1.0)) return self->nominal_period_s; /* torn by a kill */
    return self->nominal_period_s *
           fmin(fmax(ratio, 1.0 - 1e-6 * k_max_ppm), 1.0 + 1e-6 * k_max_ppm);
}

void ae_dll_restart(ae_dll *self)
{
    ae_dll fresh = {.nominal_period_s = self->nominal_period_s,
                    .period_s = limited_period(self, self->period_s),
                    .steps = self->steps};
    for (int i = 0; i < k_latest; i++)
        fresh.latest_before[i] = fmax(self->latest[i], self->latest_before[i]);
    *self = fresh;
}

void ae_dll_reset(ae_dll *self)
{
    *self =
        (ae_dll){.nominal_period_s = self->nominal_period_s, .period_s = self->nominal_period_s};
}

double ae_dll_time_of(const ae_dll *self, double frames)
{
    return self->origin_s + (frames - self->origin_frames) * self->period_s;
}

double ae_dll_frames_at(const ae_dll *self, double time_s)
{
    return self->origin_frames + (time_s - self->origin_s) / self->period_s;
}

static void begin_group(ae_dll *self, double now_s, double frames)
{
    self->group_start_s = now_s;
    self->group_frames = frames;
    self->wakes = self->kept = 0;
}

static void start(ae_dll *self, double now_s, double frames)
{
    self->started = 1;
    self->origin_s = now_s;
    self->origin_frames = frames;
    self->window_frames = frames;
    begin_group(self, now_s, frames);
}

/* Keeps the k_earliest smallest errors of the group in order. */
static void keep_earliest(ae_dll *self, double error_s)
{
    int at = self->kept < k_earliest ? self->kept : k_earliest;
    while (at > 0 && self->earliest[at - 1] > error_s) {
        if (at < k_earliest) self->earliest[at] = self->earliest[at - 1];
        at--;
    }
    if (at < k_earliest) self->earliest[at] = error_s;
    if (self->kept < k_earliest) self->kept++;
}

static void keep_latest(ae_dll *self, double late_s, double frames)
{
    if ((frames - self->window_frames) * self->period_s >= k_window_s) {
        for (int i = 0; i < k_latest; i++) {
            self->latest_before[i] = self->latest[i];
            self->latest[i] = 0.0;
        }
        self->window_frames = frames;
    }
    for (int i = 0; i < k_latest; i++) {
        if (late_s <= self->latest[i]) continue;
        const double smaller = self->latest[i];
        self->latest[i] = late_s;
        late_s = smaller;
    }
}

static double lateness(const ae_dll *self)
{
    const double usual_s = fmax(self->latest[k_excused], self->latest_before[k_excused]);
    const double all_s = fmax(self->latest[k_latest - 1], self->latest_before[k_latest - 1]);
    return fmin(usual_s, fmax(all_s, k_stall_s));
}

/* The line goes through the group's earliest wake-ups; its slope stays. */
static void step(ae_dll *self, double error_s, double frames)
{
    self->origin_s = ae_dll_time_of(self, frames) + error_s;
    self->origin_frames = frames;
    if (self->seen_s < k_settling_s) {
        self->seen_s = 0.0;
        self->groups = 0;
    }
    self->averaged = 0;
    self->steps++;
}

/* The first second only looks for the lower edge: a group that is earlier moves the line, a later
 * one hardly does, and the slope stays. PortAudio's own timer makes the lateness a sawtooth of a
 * tenth of a second or two, of which a short group sees a part. */
static void find_edge(ae_dll *self, double error_s, double frames)
{
    const double gain = error_s < 0.0 || self->averaged == 0 ? 1.0 : k_first_later_gain;
    self->origin_s = ae_dll_time_of(self, frames) + gain * error_s;
    self->origin_frames = frames;
}

static void correct(ae_dll *self, double error_s, double group_s, double frames)
{
    const double first = k_two_pi * k_first_hz;
    const double loop =
        fmax(k_fit / (self->seen_s + k_fit / first), k_two_pi * k_last_hz) * group_s;
    const double averaging = 1.0 / (self->averaged + 1),
                 narrow = fmin(1.4142135623730951 * loop, 1.0);
    self->origin_s = ae_dll_time_of(self, frames) + fmax(averaging, narrow) * error_s;
    self->origin_frames = frames;
    const double slope_gain = fmin(loop, 0.5) * fmin(loop, 0.5);
    const double change_s = slope_gain * error_s * self->period_s / group_s;
    self->period_s = limited_period(self, self->period_s + change_s);
}

static void close_group(ae_dll *self, double now_s, double frames)
{
    int count = self->wakes / k_share;
    count = ae_clamp_int(count, 1, self->kept);
    double error_s = 0.0;
    for (int i = 0; i < count; i++) error_s += self->earliest[i] / count;
    const double group_s = (frames - self->group_frames) * self->period_s;
    const int settling = self->seen_s < k_settling_s;
    if (self->groups > 0 && error_s > k_step_s)
        step(self, error_s, frames);
    else if (settling)
        find_edge(self, error_s, frames);
    else if (error_s < -k_step_s)
        step(self, error_s, frames);
    else
        correct(self, error_s, group_s, frames);
    self->seen_s += group_s;
    self->groups++;
    self->averaged++;
    self->checking = 0;
    begin_group(self, now_s, frames);
}

/* One wake-up's lateness into the averages; `elapsed_s` since the one before. */
static void average(ae_dll *self, double late_s, double elapsed_s)
{
    const double weight = fmin(elapsed_s / k_jitter_time_s, 1.0);
    const double apart = late_s - self->mean_s;
    self->mean_s += weight * apart;
    self->variance_s2 += weight * (apart * apart - self->variance_s2);
}

static void judge_lateness(ae_dll *self, double late_s, double now_s, double frames)
{
    if (self->checking) return;
    const int stall = self->seen_s >= k_settling_s && late_s > lateness(self) + k_stall_s;
    keep_latest(self, late_s, frames);
    if (!stall) {
        average(self, late_s, now_s - self->last_s);
        return;
    }
    self->checking = 1;
    begin_group(self, now_s, frames);
}

/* By the line; after a stall by the clock, for frames held back arrive in a moment. */
static int group_is_long_enough(const ae_dll *self, double now_s, double frames)
{
    if (self->checking) return now_s - self->group_start_s >= k_first_group_s;
    if (self->seen_s < k_settling_s)
        return (frames - self->group_frames) * self->period_s >= k_first_group_s;
    const double wanted_s = fmin(fmax(k_group_share * self->seen_s, k_min_group_s), k_max_group_s);
    return (frames - self->group_frames) * self->period_s >= wanted_s;
}

void ae_dll_update(ae_dll *self, double now_s, int64_t frame_count)
{
    if (!(fabs(now_s) < k_most_s)) return;
    const double frames = (double)frame_count;
    if (!self->started) {
        start(self, now_s, frames);
        self->last_s = now_s;
        self->last_frames = frames;
        return;
    }
    const double block_s = (frames - self->last_frames) * self->period_s;
    if (!(block_s > 0.0)) return;
    const double error_s = now_s - ae_dll_time_of(self, frames);
    if (self->groups > 0 && now_s - self->last_s > k_same_wake * block_s)
        judge_lateness(self, error_s, now_s, frames);
    self->last_s = now_s;
    self->last_frames = frames;

    self->wakes++;
    keep_earliest(self, error_s);
    if (self->wakes >= k_min_wakes && group_is_long_enough(self, now_s, frames))
        close_group(self, now_s, frames);
}

void ae_dll_read(const ae_dll *self, ae_dll_report *out)
{
    out->rate_ppm = 1e6 * (self->nominal_period_s / self->period_s - 1.0);
    out->jitter_s = sqrt(self->variance_s2);
    out->lateness_s = lateness(self);
    out->ready = self->groups >= k_ready_groups;
    out->settled = out->ready && !self->checking;
    out->locked = out->ready && self->seen_s >= k_locked_s;
    out->steps = self->steps;
}
