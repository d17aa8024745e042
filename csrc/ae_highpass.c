#include "ae_highpass.h"

#include "ae_biquad.h"
#include "ae_math.h"

enum {
    k_sections = 2,
    k_step_frames = 4, /* a ramp changes the coefficients this often: 0.5 ms at 8 kHz */
};

static const float k_min_cutoff_hz = 20.0f;  /* below, a DC step would take longer than 100 ms */
static const float k_max_cutoff_hz = 300.0f; /* above, voices get thin */
static const double k_ramp_s = 0.1;

/* 1 / (2 cos(pi/8)) and 1 / (2 cos(3 pi/8)): the pole pairs of a 4th-order Butterworth filter. */
static const double k_section_q[k_sections] = {0.54119610014619698, 1.3065629648763766};

struct ae_highpass {
    int sample_rate_hz;
    int channels;
    int block_frames;
    int ramp_steps;      /* length of a ramp */
    int ramp_steps_left; /* 0: the cutoff stands still */
    double cutoff_hz;    /* now */
    double target_hz;
    double step_ratio; /* cutoff ratio per ramp step */
    ae_biquad sections[k_sections];
    ae_biquad_state state[AE_MAX_CHANNELS][k_sections];
};

ae_highpass_config ae_highpass_default_config(int sample_rate_hz)
{
    return (ae_highpass_config){sample_rate_hz, 1, 80.0f};
}

static void design(ae_highpass *self)
{
    for (int i = 0; i < k_sections; i++)
        self->sections[i] =
            ae_biquad_high_pass((double)self->sample_rate_hz, self->cutoff_hz, k_section_q[i]);
}

ae_status ae_highpass_create(ae_highpass **out, const ae_highpass_config *config)
{
    *out = NULL;
    if (config->sample_rate_hz < AE_MIN_RATE_HZ || config->sample_rate_hz > AE_MAX_RATE_HZ ||
        config->channels < 1 || config->channels > AE_MAX_CHANNELS ||
        !(config->cutoff_hz >= k_min_cutoff_hz && config->cutoff_hz <= k_max_cutoff_hz))
        return AE_ERROR_ARGUMENT;
    ae_highpass *self = ae_allocate(sizeof(ae_highpass));
    if (self == NULL) return AE_ERROR_MEMORY;
    self->sample_rate_hz = config->sample_rate_hz;
    self->channels = config->channels;
    self->block_frames = ae_block_frames(config->sample_rate_hz);
    self->ramp_steps = (int)(k_ramp_s * config->sample_rate_hz) / k_step_frames;
    self->target_hz = (double)config->cutoff_hz;
    ae_highpass_reset(self);
    *out = self;
    return AE_OK;
}

void ae_highpass_destroy(ae_highpass *self) { ae_free(self); }

void ae_highpass_reset(ae_highpass *self)
{
    memset(self->state, 0, sizeof(self->state));
    self->ramp_steps_left = 0;
    self->cutoff_hz = self->target_hz;
    design(self);
}

int ae_highpass_latency_frames(const ae_highpass *self)
{
    (void)self;
    return 0;
}

void ae_highpass_set_cutoff_hz(ae_highpass *self, float cutoff_hz)
{
    if (cutoff_hz != cutoff_hz) return;
    const double target_hz = (double)ae_clamp(cutoff_hz, k_min_cutoff_hz, k_max_cutoff_hz);
    if (target_hz == self->target_hz) return;
    self->target_hz = target_hz;
    self->ramp_steps_left = self->ramp_steps;
    self->step_ratio = pow(target_hz / self->cutoff_hz, 1.0 / self->ramp_steps);
}

static void step_ramp(ae_highpass *self)
{
    self->ramp_steps_left--;
    self->cutoff_hz =
        self->ramp_steps_left == 0 ? self->target_hz : self->cutoff_hz * self->step_ratio;
    design(self);
}

void ae_highpass_process(ae_highpass *self, const float *const *in, float *const *out)
{
    for (int start = 0, frames; start < self->block_frames; start += frames) {
        frames = self->block_frames - start;
        if (self->ramp_steps_left > 0) {
            step_ramp(self);
            if (frames > k_step_frames) frames = k_step_frames;
        }
        for (int c = 0; c < self->channels; c++) {
            ae_biquad_process(&self->sections[0], &self->state[c][0], in[c] + start, out[c] + start,
                              frames);
            ae_biquad_process(&self->sections[1], &self->state[c][1], out[c] + start,
                              out[c] + start, frames);
        }
    }
}
