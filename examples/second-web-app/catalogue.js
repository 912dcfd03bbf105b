// @ts-check

/** @typedef {{ id: string, name: string, about: string, price: number }} Good */

/** Things for a front door. Prices in cents, for sums of fractions go wrong. @type {Good[]} */
export const goods = [
  { id: 'key', name: 'Brass key', about: 'Opens one door. There are better ways.', price: 1200 },
  { id: 'bell', name: 'Door bell', about: 'Rings once, is heard everywhere.', price: 3450 },
  { id: 'mat', name: 'Welcome mat', about: 'Says hello so that you need not.', price: 2600 },
  { id: 'lantern', name: 'Porch lantern', about: 'Warm light, and moths included.', price: 5900 },
  { id: 'number', name: 'House number', about: 'Any number, as long as it is 7.', price: 1800 },
  { id: 'letters', name: 'Letter box', about: 'For the few letters that still come.', price: 4200 },
]

/** @typedef {{ good: Good, at: Date }} Order */

/** @type {Map<string, Order[]>} by `sub`: the one thing about a person that never changes */
const orders = new Map()

/** @param {string} sub */
export const ordersOf = sub => orders.get(sub) ?? []

/** @param {string} sub @param {string | null} id */
export function order(sub, id) {
  const good = goods.find(good => good.id === id)
  if (good) orders.set(sub, [{ good, at: new Date() }, ...ordersOf(sub)].slice(0, 20))
  return good
}

/** @param {number} cents */
export const money = cents => `€ ${(cents / 100).toFixed(2)}`
