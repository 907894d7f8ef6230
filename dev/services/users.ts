import { makeDice } from './dice.ts'
import { commandLine, serveCollection } from './rest.ts'

const FIRST = ['Ada', 'Bao', 'Chidi', 'Dora', 'Emre', 'Femi', 'Grete', 'Hana', 'Ilse', 'Jonas', 'Kaveh', 'Lien']
const LAST = ['Adeyemi', 'Berg', 'Costa', 'Dupont', 'Eriksen', 'Fischer', 'Garcia', 'Haddad', 'Ito', 'Jansen', 'Kaya']
const CITIES = ['Accra', 'Bergen', 'Hanoi', 'Lisbon', 'Lyon', 'Quito', 'Tartu', 'Utrecht']

const dice = makeDice(1)
const rows = Array.from({ length: 300 }, (_, index) => {
  const [first, last] = [dice.oneOf(FIRST), dice.oneOf(LAST)]
  const email = `${first}.${last}.${index + 1}@example.com`.toLowerCase()
  return { id: index + 1, name: `${first} ${last}`, email, city: dice.oneOf(CITIES), vip: dice.number(10) === 0 }
})

serveCollection({ name: 'users', rows, filters: ['city', 'vip'] }, ...commandLine())
