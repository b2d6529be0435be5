// What is wrong with the watching of promises, on Airflow's home page; nothing where nothing is.
// No build: Airflow lends its own React and Chakra UI.
(() => {
  const { createElement: h, useEffect, useState } = globalThis.React;
  const { Alert, Box } = globalThis.ChakraUI;
  const ADDRESS = new URL("dataproducts/api/v1/alarms", document.baseURI);
  const EVERY = 60_000; // milliseconds, as the monitor
  const HEADINGS = {
    "monitor silent": "Nobody watches the data products",
    "message undelivered": "People were not told of broken promises",
    "checker broken": "A promise cannot be checked",
  };

  function Alarms() {
    const [alarms, setAlarms] = useState([]);
    useEffect(() => {
      const look = () =>
        fetch(ADDRESS)
          .then((answer) => (answer.ok ? answer.json() : { alarms: [] }))
          .then((found) => setAlarms(found.alarms))
          .catch(() => setAlarms([])); // Airflow itself says when it cannot be reached
      look();
      const timer = setInterval(look, EVERY);
      return () => clearInterval(timer);
    }, []);
    return h(
      Box,
      null,
      alarms.map((alarm) =>
        h(
          Alert.Root,
          { key: alarm.kind + alarm.text, status: "error", mb: 2 },
          h(Alert.Indicator),
          h(Alert.Content, null, h(Alert.Title, null, HEADINGS[alarm.kind]), h(Alert.Description, null, alarm.text)),
        ),
      ),
    );
  }

  globalThis.AirflowPlugin = Alarms;
})();
