/** Recordings of others' programs and devices as trajectories: cameras by COLMAP and Aria, hands by trackers and data sets. */
export type { LensOptions } from '../trajectory/lens.ts';
export { openNpz } from '../trajectory/npy.ts';
export type { ImportDefaults } from '../trajectory/types.ts';
export { type ColmapOptions, importColmap, importColmapBinary } from './colmap.ts';
export {
  type DeviceCamera,
  type DevicePath,
  deviceTrajectory,
  readAriaPath,
  readHot3dPath,
} from './device-path.ts';
export { type EgodexEpisode, type EgodexHand, importEgodex } from './egodex.ts';
export { importEgoexo } from './egoexo.ts';
export { type HamerOptions, importHamer } from './hamer.ts';
export { LANDMARK_JOINTS, landmarksToJoints } from './hand-ik.ts';
export { hot3dTrajectory, readHot3dHands, type TimedHands } from './hot3d.ts';
export { type Hot3dObject, importHot3dClip, readHot3dObjects } from './hot3d-clip.ts';
export {
  RECORDING_FORMATS,
  type RecordingFormat,
  type RecordingKind,
  recordingKind,
} from './kinds.ts';
export { importManoNpz } from './mano-npz.ts';
export { importMediapipe, type MediapipeOptions, placeLandmarks } from './mediapipe.ts';
export { importWebxr } from './webxr.ts';
