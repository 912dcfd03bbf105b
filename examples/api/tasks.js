// @ts-check
import { randomUUID } from 'node:crypto'

/** @typedef {{ id: string, text: string, done: boolean }} Task */

/** Everybody's tasks, in memory, by `sub`. @type {Map<string, Task[]>} */
const lists = new Map()

const firstTasks = () =>
  ['Sign in at a second app', 'Add a task in one app, reload another', 'Sign out, and see it everywhere'].map(
    (text, index) => ({ id: randomUUID(), text, done: index === 0 }),
  )

/** @param {string} sub */
export function tasksOf(sub) {
  const tasks = lists.get(sub) ?? firstTasks()
  lists.set(sub, tasks)
  return tasks
}

/** @param {string} sub @param {unknown} text @returns {Task | undefined} undefined when it is none */
export function addTask(sub, text) {
  const tasks = tasksOf(sub)
  if (typeof text !== 'string' || !text.trim() || tasks.length >= 100) return undefined
  const task = { id: randomUUID(), text: text.trim().slice(0, 140), done: false }
  tasks.push(task)
  return task
}

/** @param {string} sub @param {string} id @param {unknown} done @returns {Task | undefined} */
export function changeTask(sub, id, done) {
  const task = tasksOf(sub).find(one => one.id === id)
  if (task) task.done = done === true
  return task
}

/** What a machine may know: how many, and of nobody. */
export function countTasks() {
  const all = [...lists.values()].flat()
  return { people: lists.size, tasks: all.length, done: all.filter(({ done }) => done).length }
}
