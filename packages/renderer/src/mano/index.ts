export {
  loadMano,
  MANO_CONVERTER,
  MANO_JOINTS,
  MANO_PARENTS,
  MANO_VERTICES,
  type ManoModel,
} from './model.ts';
export {
  type HandSide,
  MANO_TIPS,
  type ManoParams,
  type ManoRotations,
  type ManoSkinning,
  manoRestJoints,
  manoSkinning,
  type PosedMano,
  pcaToPose,
  posedMano,
  vertexNormals,
} from './pose.ts';
export { manoToWebxr, WEBXR_JOINTS } from './webxr.ts';
