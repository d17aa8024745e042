/* ae_transients_weights.h - made by tools/key_strokes, not by hand. */
#ifndef AE_TRANSIENTS_WEIGHTS_H
#define AE_TRANSIENTS_WEIGHTS_H

/* clang-format off */
static const float k_find[25] = {
    0.3743f, 0.0408f, -0.08001f, 0.1121f, 0.5074f, -0.1104f, 0.05153f, 0.06005f,
    0.4747f, -0.01079f, -0.01747f, 2.332f, 0.02673f, -0.02195f, -0.4219f, 0.0f,
    0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f,
    0.0f,
};
static const float k_find_bias = -5.561f;
static const float k_take[25] = {
    0.2986f, 0.02909f, 0.02229f, 0.08859f, 0.3533f, -0.09096f, 0.01121f, 0.009693f,
    1.251f, -0.007574f, -0.01229f, 3.383f, 0.05381f, -0.02952f, -0.5748f, -0.134f,
    -0.00498f, -0.05428f, -0.03559f, -0.01403f, -0.4779f, 0.005956f, 0.02205f, 0.8189f,
    -0.006129f,
};
static const float k_take_bias = -5.323f;
/* clang-format on */

#endif
