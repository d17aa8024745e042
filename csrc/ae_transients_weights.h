/* ae_transients_weights.h - made by tools/key_strokes, not by hand. */
#ifndef AE_TRANSIENTS_WEIGHTS_H
#define AE_TRANSIENTS_WEIGHTS_H

/* clang-format off */
static const float k_find[21] = {
    0.3801f, 0.03589f, -0.2579f, 0.1195f, 0.5788f, -0.1074f, 0.06589f, 0.06814f,
    1.54f, -0.01005f, -0.01829f, 3.065f, 0.05646f, -0.02471f, -0.3985f, 0.0f,
    0.0f, 0.0f, 0.0f, 0.0f, 0.0f,
};
static const float k_find_bias = -5.763f;
static const float k_take[21] = {
    0.2832f, 0.03337f, -0.1009f, 0.1149f, 0.3561f, -0.0969f, 0.0059f, 0.008863f,
    1.193f, -0.005976f, -0.01283f, 13.19f, 0.09877f, -0.03264f, -0.7731f, -0.266f,
    0.04468f, -0.09118f, -0.06271f, -0.01515f, -0.33f,
};
static const float k_take_bias = -12.5f;
/* clang-format on */

#endif
