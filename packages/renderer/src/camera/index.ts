export { enlargedIntrinsics, fromFieldOfView, type Intrinsics } from './intrinsics.ts';
export { type ShakeOptions, shaken } from './noise.ts';
export { framesBetween, frameTimes, samplePath, type TimedPose } from './path.ts';
export {
  type ColmapPose,
  cameraToWorld,
  columnMajor,
  type Direction,
  fromColmap,
  inverted,
  type Pose,
  placedCamera,
  placement,
  toColmap,
  withAxes,
  worldToCamera,
} from './pose.ts';
export * as rotations from './rotation.ts';
export { fromAxisAngle, type Quaternion, slerp, toAxisAngle, type Vec3 } from './rotation.ts';
export { splinePath } from './spline.ts';
