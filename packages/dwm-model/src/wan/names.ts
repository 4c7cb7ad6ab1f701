/** What Wan's files and experiments are called. */

/** Names of Wan's own file, the first that is there. */
export const WAN_VAE_FILES = [
  'Wan2.1_VAE.pth',
  'Wan2.1_VAE.safetensors',
  'Wan2.2_VAE.pth',
  'Wan2.2_VAE.safetensors',
] as const;

/** `pipeline.type` of experiments with it. */
export const WAN_TYPES = ['wan2.1_fun_inp_hand_concat', 'wan2.1_fun_inp'] as const;
