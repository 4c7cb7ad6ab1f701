/** How good a clip is: against the truth, in parts of the picture, and by itself. */
export { bootstrapMean, type Interval } from './bootstrap.ts';
export { frameOf, type NamedClip } from './clip.ts';
export { temporalFlicker } from './flicker.ts';
export { handAgreement, handPixels } from './hand-agreement.ts';
export { Lpips, type WeightFile } from './lpips/lpips.ts';
export type { LpipsNetwork } from './lpips/networks.ts';
export { clipPsnr, type Psnr, regionPsnr } from './psnr.ts';
export { CHANGE_DILATION, changedRegion, differs, dilate } from './region.ts';
export { type Score, type ScoreInput, scoreClip } from './score.ts';
export { type Share, shareOf, shareText } from './share.ts';
export { type Sharpness, sharpness } from './sharpness.ts';
export { clipSsim, type Ssim } from './ssim.ts';
