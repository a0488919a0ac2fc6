-- The game that Voxel-v0 runs inside Luanti. Knows nothing of pictures: whoever drives it through
-- the link reads those off the screen.
local here = core.get_modpath("worldsim")
local nodes, looks = dofile(here .. "/nodes.lua")
local land = dofile(here .. "/land.lua")(core.settings:get("worldsim_biome"))
dofile(here .. "/build.lua")(land, nodes)
local body = dofile(here .. "/body.lua")
dofile(here .. "/link.lua")(land, body, dofile(here .. "/eye.lua"), looks)
