export { loadMano, MANO_JOINTS, MANO_PARENTS, type ManoModel } from './model.ts';
export {
  type HandSide,
  MANO_TIPS,
  type ManoParams,
  type ManoRotations,
  pcaToPose,
  posedMano,
  vertexNormals,
} from './pose.ts';
export { manoToWebxr, WEBXR_JOINTS } from './webxr.ts';
