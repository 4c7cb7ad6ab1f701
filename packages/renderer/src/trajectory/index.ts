export { type ColmapOptions, importColmap, importColmapBinary } from './colmap.ts';
export { isColmapCameras, isColmapImages } from './colmap-binary.ts';
export {
  type DeviceCamera,
  type DevicePath,
  deviceTrajectory,
  readAriaPath,
  readHot3dPath,
} from './device-path.ts';
export { EGODEX_JOINTS, type EgodexEpisode, type EgodexHand, importEgodex } from './egodex.ts';
export { importEgoexo } from './egoexo.ts';
export { Field, type TextFile } from './fields.ts';
export { type HamerOptions, importHamer } from './hamer.ts';
export { LANDMARK_JOINTS, landmarksToJoints } from './hand-ik.ts';
export { hot3dTrajectory, readHot3dHands, type TimedHands } from './hot3d.ts';
export { importHot3dClip } from './hot3d-clip.ts';
export {
  RECORDING_FORMATS,
  type RecordingFormat,
  type RecordingKind,
  recordingKind,
} from './kinds.ts';
export type { LensOptions } from './lens.ts';
export { importManoNpz } from './mano-npz.ts';
export { importMediapipe, type MediapipeOptions, placeLandmarks } from './mediapipe.ts';
export { openNpz } from './npy.ts';
export { resample, sampleAt } from './resample.ts';
export { readTransforms, writeTransforms } from './transforms-json.ts';
export {
  type HandPose,
  type Hands,
  type ImportDefaults,
  NO_HANDS,
  SIDES,
  type Trajectory,
  type TrajectoryFrame,
} from './types.ts';
export { importWebxr } from './webxr.ts';
