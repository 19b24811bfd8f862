-- R175: a press of the doorbell is told to three channels in two languages, and for 15 seconds no further one.
local a = automation { name = "doorbell", description = "tells of the doorbell" }

-- `single` is the cooldown: calls that come while this one sleeps are dropped.
a:on_reading("door/bell", function()
  notify { receiver = "phones", summary = "Somebody is at the door" }
  notify { receiver = "television", summary = "Somebody is at the door" }
  notify { receiver = "speaker", summary = "Er staat iemand voor de deur" }
  sleep "15s"
end, { mode = "single" })
