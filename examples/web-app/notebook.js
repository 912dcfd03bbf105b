// @ts-check
import { randomUUID } from 'node:crypto'

/** @typedef {{ id: string, text: string }} Note */

/** @type {Map<string, Note[]>} */
const notebooks = new Map()

/**
 * One person's notes, in memory. The key is `sub`: names and e-mail addresses change owners, `sub` never.
 * @param {string} sub
 */
export function notebook(sub) {
  const notes = notebooks.get(sub) ?? firstNotes()
  notebooks.set(sub, notes)
  return {
    list: () => notes,

    /** @param {string} text */
    add(text) {
      const trimmed = text.trim().slice(0, 280)
      if (trimmed && notes.length < 50) notes.unshift({ id: randomUUID(), text: trimmed })
    },

    /** @param {string} id */
    remove(id) {
      const place = notes.findIndex(note => note.id === id)
      if (place >= 0) notes.splice(place, 1)
    },
  }
}

const firstNotes = () =>
  [
    'Notes never saw your password. It got a code from the provider and traded it for the tokens below.',
    'Open a second app in this browser: it signs you in without asking for the password again.',
    'Sign out there, then reload this page. You are signed out here too.',
  ].map(text => ({ id: randomUUID(), text }))
