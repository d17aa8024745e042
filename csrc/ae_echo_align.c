#include "ae_echo_align.h"

#include "ae_math.h"

static const float k_moved_ms = 2.0f; /* a lag that differs by less is the same */
static const float k_early_ms = 2.0f; /* the first arrival should lie this far inside the filter */
static const float k_late_ms = 25.0f; /* ... and not farther than this */
static const float k_headroom_ms = 5.0f;  /* where a shift puts it, to within one partition */
static const float k_better_share = 0.7f; /* a trial must leave less than this of the error */
static const int k_retry_blocks = 50;     /* the same lag is tried again after 0.5 s */
static const int k_steady_rounds = 25;    /* 1 s of agreement moves a filter that once worked */
enum { k_blocks = AE_ECHO_ALIGN_BLOCKS };

struct ae_echo_align {
    ae_echo_align_config config;
    ae_kalman *remembered;
    int remembered_delay; /* bulk delay it was learned at */
    float remembered_lag; /* < 0: nothing remembered */
    int range;            /* frames the refinement looks to each side */
    ae_far_spectra trial; /* far end at the trial's delay: partitions + k_blocks - 1 */
    float *capture;       /* ring of the last k_blocks blocks */
    float *target, *predicted;
    float energy[k_blocks]; /* of the running filter's error, ring */
    int at;                 /* ring position of the oldest block */
    int stage;              /* of the trial; 0: none */
    int trial_age;          /* blocks since the trial began */
    int trial_delay;
    float trial_lag, trial_energy;
    float tried_lag;
    int rest; /* blocks until tried_lag may be tried again */
    float steady_lag;
    int accepted; /* rounds of the finder seen */
    int steady;   /* of these, how many in a row said steady_lag */
};

static size_t lay_out(ae_echo_align *self, void *memory)
{
    ae_arena arena = {memory, 0};
    const int span = k_blocks * self->config.kalman.block_frames;
    AE_TAKE(&arena, 1, ae_echo_align);
    self->trial.re = AE_TAKE(&arena, self->trial.partitions * self->trial.stride, float);
    self->trial.im = AE_TAKE(&arena, self->trial.partitions * self->trial.stride, float);
    self->capture = AE_TAKE(&arena, span, float);
    self->target = AE_TAKE(&arena, span, float);
    self->predicted = AE_TAKE(&arena, span, float);
    return arena.used;
}

ae_status ae_echo_align_create(ae_echo_align **out, const ae_echo_align_config *config)
{
    *out = NULL;
    ae_echo_align shape = {.config = *config};
    shape.trial.partitions = config->kalman.partitions + k_blocks - 1;
    shape.trial.stride = (config->kalman.fft_size / 2 + 16) & ~15;
    shape.range = config->sample_rate_hz / 8000;
    ae_echo_align *self = ae_allocate(lay_out(&shape, NULL));
    if (self == NULL) return AE_ERROR_MEMORY;
    *self = shape;
    lay_out(self, self);
    const ae_status status = ae_kalman_create(&self->remembered, &config->kalman);
    if (status != AE_OK) {
        ae_echo_align_destroy(self);
        return status;
    }
    ae_echo_align_reset(self);
    *out = self;
    return AE_OK;
}

void ae_echo_align_destroy(ae_echo_align *self)
{
    if (self == NULL) return;
    ae_kalman_destroy(self->remembered);
    ae_free(self);
}

void ae_echo_align_reset(ae_echo_align *self)
{
    ae_zero(self->capture, k_blocks * self->config.kalman.block_frames);
    memset(self->energy, 0, sizeof self->energy);
    self->remembered_lag = self->tried_lag = -1.0f;
    self->steady_lag = -1.0f;
    self->at = self->stage = self->rest = self->accepted = self->steady = 0;
}

void ae_echo_align_remember(ae_echo_align *self, const ae_kalman *filter, int delay_frames,
                            float lag_frames)
{
    if (self->stage > 0) return;
    ae_kalman_copy_path(self->remembered, filter);
    self->remembered_delay = delay_frames;
    self->remembered_lag = lag_frames;
}

static float frames_of(const ae_echo_align *self, float time_ms)
{
    return time_ms * 0.001f * (float)self->config.sample_rate_hz;
}

static void begin_trial(ae_echo_align *self, float lag_frames, int max_delay_frames)
{
    const int block = self->config.kalman.block_frames, old = k_blocks - self->at;
    const float moved = lag_frames - self->remembered_lag;
    const int delay = self->remembered_delay + (int)lrintf(moved);
    self->trial_delay = ae_clamp_int(delay, self->range, max_delay_frames - self->range);
    self->trial_lag = lag_frames;
    self->trial_age = 0;
    self->stage = 1;
    ae_copy(self->target, self->capture + self->at * block, old * block);
    ae_copy(self->target + old * block, self->capture, self->at * block);
    self->trial_energy = 0.0f;
    for (int i = 0; i < k_blocks; i++) self->trial_energy += self->energy[i];
}

/* Stages 1 and 2: half of the spectra at the trial's delay each. */
static void transform_half(ae_echo_align *self, ae_far_end *far)
{
    const int block = self->config.kalman.block_frames, count = self->trial.partitions;
    const int from = self->stage == 1 ? 0 : count / 2, to = self->stage == 1 ? count / 2 : count;
    for (int p = from; p < to; p++)
        ae_far_end_transform(far, self->trial_delay + (p + self->trial_age) * block,
                             self->trial.re + p * self->trial.stride,
                             self->trial.im + p * self->trial.stride);
}

/* Stages 3 and 4: what the remembered path would have predicted for half of the blocks each. */
static void predict_half(ae_echo_align *self)
{
    const int block = self->config.kalman.block_frames;
    const int from = self->stage == 3 ? 0 : k_blocks / 2;
    for (int i = from; i < from + k_blocks / 2; i++) {
        self->trial.head = i;
        ae_kalman_predict(self->remembered, &self->trial,
                          self->predicted + (k_blocks - 1 - i) * block);
    }
}

/* Stage 5: the shift within +-range that fits best, and what it leaves of the capture. */
static float refine(const ae_echo_align *self, int *shift)
{
    const int span = k_blocks * self->config.kalman.block_frames - 2 * self->range;
    const float *restrict target = self->target + self->range;
    float best = INFINITY;
    for (int s = -self->range; s <= self->range; s++) {
        const float *restrict moved = self->predicted + self->range - s;
        float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
        for (int i = 0; i < span; i++) sum += (target[i] - moved[i]) * (target[i] - moved[i]);
        if (sum < best) {
            best = sum;
            *shift = s;
        }
    }
    return best;
}

/* Would whole partitions put the echo path's start to a better place? The new delay, or < 0. */
static int shifted_delay(const ae_echo_align *self, int delay_frames, float lag_frames)
{
    const int block = self->config.kalman.block_frames;
    const float inside = lag_frames - (float)delay_frames;
    if (inside >= frames_of(self, k_early_ms) && inside <= frames_of(self, k_late_ms)) return -1;
    int blocks = (int)floorf((inside - frames_of(self, k_headroom_ms)) / (float)block);
    if (delay_frames + blocks * block < 0) blocks = -(delay_frames / block);
    return blocks == 0 ? -1 : delay_frames + blocks * block;
}

static int finish_trial(ae_echo_align *self, int *delay_frames, const ae_kalman **remembered)
{
    int shift = 0;
    const float left = refine(self, &shift);
    const int delay = self->trial_delay + shift;
    self->stage = 0;
    if (delay >= 0 && left < k_better_share * self->trial_energy) {
        self->remembered_delay = delay;
        self->remembered_lag = self->trial_lag;
        *delay_frames = delay;
        *remembered = self->remembered;
        return 1;
    }
    return 0;
}

static int step_trial(ae_echo_align *self, ae_far_end *far, int *delay_frames,
                      const ae_kalman **remembered)
{
    const int stage = self->stage;
    if (stage <= 2) transform_half(self, far);
    if (stage == 3 || stage == 4) predict_half(self);
    if (stage == 5) return finish_trial(self, delay_frames, remembered);
    self->stage++;
    self->trial_age++;
    return 0;
}

/* How often in a row the finder has come to this lag. */
static void count_steady(ae_echo_align *self, const ae_delay_report *found)
{
    if (found->accepted == self->accepted) return;
    self->accepted = found->accepted;
    const int same = fabsf(found->lag_frames - self->steady_lag) < frames_of(self, k_moved_ms);
    self->steady = same ? self->steady + 1 : 1;
    self->steady_lag = found->lag_frames;
}

int ae_echo_align_step(ae_echo_align *self, ae_far_end *far, const float *capture,
                       float error_energy, const ae_delay_report *found, int *delay_frames,
                       const ae_kalman **remembered)
{
    const int block = self->config.kalman.block_frames;
    const float lag = found->lag_frames, same = frames_of(self, k_moved_ms);
    ae_copy(self->capture + self->at * block, capture, block);
    self->energy[self->at] = error_energy;
    self->at = (self->at + 1) % k_blocks;
    *delay_frames = ae_far_end_delay(far);
    *remembered = NULL;
    count_steady(self, found);
    if (self->stage > 0) return step_trial(self, far, delay_frames, remembered);
    if (self->rest > 0) self->rest--;
    if (lag < 0.0f) return 0;
    const int known = self->remembered_lag >= 0.0f;
    const int moved = known && fabsf(lag - self->remembered_lag) > same;
    if (!known || self->steady >= k_steady_rounds) {
        const int shifted = shifted_delay(self, *delay_frames, lag);
        if (shifted >= 0) {
            *delay_frames = shifted;
            return 1;
        }
    }
    if (moved && (self->rest == 0 || fabsf(lag - self->tried_lag) > same)) {
        self->tried_lag = lag;
        self->rest = k_retry_blocks;
        begin_trial(self, lag, ae_far_end_max_delay(far));
        return step_trial(self, far, delay_frames, remembered);
    }
    return 0;
}
