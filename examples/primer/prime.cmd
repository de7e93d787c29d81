@echo off
rem Runs tides.states in this checkout's environment; primer\proto.py says how.
setlocal DisableDelayedExpansion

rem The environment's own Python, if it and the one that it was made from are there.
set "primer_home="
if exist "%~dp0.primer\app.path" for /f "usebackq delims=" %%P in ("%~dp0.primer\app.path") do set "primer_home=%%P"
if defined PRIMER_REBUILD goto any
if not exist "%primer_home%\Scripts\python.exe" goto any
for /f "usebackq tokens=1,2* delims= " %%K in ("%primer_home%\pyvenv.cfg") do if "%%K"=="home" if not exist "%%M\python.exe" goto any
endlocal & "%primer_home%\Scripts\python.exe" -I "%~dp0primer\proto.py" boot tides.states app "%~f0" %*
exit /b %errorlevel%

rem Else the first Python from 3.8 on that runs; it finds the one that fits and makes the environment.
:any
endlocal
py -3 -I -c "import sys; sys.exit(sys.version_info < (3, 8))" <nul >nul 2>nul
if %errorlevel%==0 goto launcher
python -I -c "import sys; sys.exit(sys.version_info < (3, 8))" <nul >nul 2>nul
if %errorlevel%==0 goto python
echo primer: error: no Python 3.8 or newer starts here; tried: py -3, python>&2
exit /b 3

:launcher
py -3 -I "%~dp0primer\proto.py" boot tides.states app "%~f0" %*
exit /b %errorlevel%

:python
python -I "%~dp0primer\proto.py" boot tides.states app "%~f0" %*
exit /b %errorlevel%
rem As `kedge primer` wrote it; sha256 ddd2ec3527892b388375af23c2fc0719145e52114b3f6aafd91e8b2605593956
