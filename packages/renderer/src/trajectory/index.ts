export { Field } from './fields.ts';
export { resample, sampleAt } from './resample.ts';
export { readTransforms, writeTransforms } from './transforms-json.ts';
export {
  type HandPose,
  type Hands,
  NO_HANDS,
  SIDES,
  type Trajectory,
  type TrajectoryFrame,
} from './types.ts';
