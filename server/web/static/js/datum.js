// WGS-84 and GCJ-02, the datum of maps sold in China. Stored positions are WGS-84; this stands
// between them and tiles of the other datum, and nowhere else.
//
// The shift as published in "wgtochina_lb" (the form known as EvilTransform, 2011), on Krasovsky's
// ellipsoid of 1940; good to about a metre. Back by iterating the way there until nothing moves.
// Outside of China's bounding box, which is all the public form knows, positions stay as they are.

/** @typedef {[number, number]} Position longitude, latitude, degrees */

const MAJOR_M = 6378245.0;
const ECCENTRICITY_2 = 0.00669342162296594323;
const WEST = 72.004, EAST = 137.8347, SOUTH = 0.8293, NORTH = 55.8271;

/** @param {Position} at */
const inside = ([lon, lat]) => lon >= WEST && lon <= EAST && lat >= SOUTH && lat <= NORTH;

/** @param {number} x @param {number} first @param {number} second @param {number} third */
const waves = (x, first, second, third) => (2 / 3) * (
  first * Math.sin(x * Math.PI) + second * Math.sin((x / 3) * Math.PI) + third
);

/** @param {Position} at @returns {Position} degrees by which GCJ-02 is off there */
function shift([lon, lat]) {
  const x = lon - 105, y = lat - 35;
  const ripple = (2 / 3) * (20 * Math.sin(6 * x * Math.PI) + 20 * Math.sin(2 * x * Math.PI));
  const north = -100 + 2 * x + 3 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * Math.sqrt(Math.abs(x)) + ripple
    + waves(y, 20, 40, 160 * Math.sin((y / 12) * Math.PI) + 320 * Math.sin((y * Math.PI) / 30));
  const east = 300 + x + 2 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * Math.sqrt(Math.abs(x)) + ripple
    + waves(x, 20, 40, 150 * Math.sin((x / 12) * Math.PI) + 300 * Math.sin((x / 30) * Math.PI));
  const radians = (lat / 180) * Math.PI;
  const magic = 1 - ECCENTRICITY_2 * Math.sin(radians) ** 2;
  const meridian = (MAJOR_M * (1 - ECCENTRICITY_2)) / (magic * Math.sqrt(magic));
  const parallel = (MAJOR_M / Math.sqrt(magic)) * Math.cos(radians);
  return [(east * 180) / (parallel * Math.PI), (north * 180) / (meridian * Math.PI)];
}

/** @param {Position} at WGS-84 @returns {Position} GCJ-02 */
export function toGcj02(at) {
  if (!inside(at)) return at;
  const [east, north] = shift(at);
  return [at[0] + east, at[1] + north];
}

/** @param {Position} at GCJ-02 @returns {Position} WGS-84 */
export function fromGcj02(at) {
  if (!inside(at)) return at;
  /** @type {Position} */
  let guess = [...at];
  for (let turn = 0; turn < 10; turn++) {
    const [east, north] = shift(guess);
    const off = [at[0] - guess[0] - east, at[1] - guess[1] - north];
    guess = [guess[0] + off[0], guess[1] + off[1]];
    if (Math.abs(off[0]) + Math.abs(off[1]) < 1e-10) break;
  }
  return inside(guess) ? guess : at;
}

/** Positions at any depth of a geometry. @param {any} nested @param {(at: Position) => Position} move */
const moved = (nested, move) => (typeof nested[0] === "number"
  ? [...move(/** @type {Position} */ (nested)), ...nested.slice(2)]
  : nested.map((/** @type {any} */ one) => moved(one, move)));

/**
 * A copy of a collection with every position moved.
 * @param {any} collection @param {(at: Position) => Position} move
 */
export const collectionMoved = (collection, move) => ({
  ...collection,
  features: collection.features.map((/** @type {any} */ one) => ({
    ...one, geometry: one.geometry && { ...one.geometry, coordinates: moved(one.geometry.coordinates, move) },
  })),
});
