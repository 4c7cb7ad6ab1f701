import { expect, test } from 'vitest';
import { recordingKind } from './kinds.ts';

const bytes = (text: string) => new TextEncoder().encode(text);

test.each([
  ['transforms', '{"fps": 8, "frames": [{"transform_matrix": []}]}'],
  ['transforms', ' {"frames": [{"transform_matrix": [[1, 0'],
  ['webxr', '{"frames": [{"time": 0, "view": {}}]}'],
  ['mediapipe', '{"w": 1, "frames": [null, {"worldLandmarks": [], "landmarks": []}]}'],
  ['mediapipe', '{"frames": [{}, {"hand_world_landmarks": [], "hand_landmarks": [], "handedness": []}]}'],
  ['mediapipe', '[{"multi_hand_landmarks": null, "multi_handedness": null}]'],
  ['mediapipe', '{"frames": [{"multiHandWorldLandmarks": []}]}'],
  [undefined, '[1, null]'],
  ['hot3d-hands', '{"timestamp_ns": 1, "hand_poses": {}}\n{"timestamp_ns": 2, "hand_poses": {}}\n'],
  ['hot3d-hands', '{"timestamp_ns": 1, "hand_poses": {}}'],
  ['aria', 'graph_uid,tracking_timestamp_us,utc_timestamp_ns\nx,1,2\n'],
  ['hot3d-headset', 'timestamp[ns],t_wo_x[m],q_wo_w\n1,2,3\n'],
  ['colmap-cameras', '# Camera list\n#   x\n1 PINHOLE 720 480 360 360 360 240\n'],
  ['colmap-images', '# Image list\n\n1 1 0 0 0 -1.5 2e-3 3 1 frame one.png\n\n'],
  ['hamer', 'PK\x03\x04'],
  [undefined, '1 0.5 0.5 0.5 10 20 30 0.1\n'],
  [undefined, 'hello'],
  [undefined, ''],
  [undefined, '{"frames": []}'],
])('%s by content', (kind, text) => {
  expect(recordingKind('x', bytes(text))).toBe(kind);
});
